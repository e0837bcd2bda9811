"""The commands that work on this very machine, without asking a server: serve, release, sweep, demo."""
