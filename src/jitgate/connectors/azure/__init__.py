"""Azure: network security groups and Azure Firewalls with classic rules.

Read it in this order: `listing` (what Azure answers), `topology` (what that means: machines, and what is in front of
them), `wanted` (which rules must stand), `planning` (which writes that takes), `connector` (the calls).
"""
