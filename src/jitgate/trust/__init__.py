"""Secrets and certificates. The only room that imports cryptography."""
