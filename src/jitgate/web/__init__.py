"""The faces that speak HTTP. They turn JSON into the words of the core, and answers back into JSON."""
