"""AWS for tests and the demo: moto, held to what Amazon itself is strict about."""
