"""jitgate: just-in-time network access for machines."""

__version__ = "0.1.0"
