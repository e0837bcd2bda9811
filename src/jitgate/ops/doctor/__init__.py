"""``jitgate doctor``: whether all that jitgate needs is well, and what to do where it is not."""
