"""Telling others what happens: the record is the outbox, and each receiver has a cursor of its own in it."""
