"""The use cases: what people and programs can ask of jitgate. One file a family, one function a use case.

A use case decides and writes; it never touches a firewall. Rows are what it hands to the reconciler.
"""
