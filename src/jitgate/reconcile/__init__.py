"""Making it so: claim a due scope, work out what it must hold, have the firewall hold it, record what stands.

A scope is the only input. Opening, closing, revoking, expiry, policy change, drift repair, crash recovery
and retry are one path; what differs is only what the rows say.
"""

from jitgate.reconcile.loop import Reconciler

__all__ = ["Reconciler"]
