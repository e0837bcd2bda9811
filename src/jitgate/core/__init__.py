"""The rules of just-in-time access, pure: no I/O, no clock, standard library only."""
