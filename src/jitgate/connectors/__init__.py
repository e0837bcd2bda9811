"""Firewalls: one folder per kind, each behind the three methods of ``connectors.base.Connector``."""
