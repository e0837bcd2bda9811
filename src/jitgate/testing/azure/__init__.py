"""A fake Azure Resource Manager: a state machine over plain JSON, as far as jitgate's connector deals with it.

::

    scene ──> arm ──> calls      numbers and counts what is asked; faults at any of them
      builds   │  ├── throttle   budgets of reads, writes and deletes
      what     │  ├── access     sign-in, permissions, locks
      there    │  ├── resources  what there is: etags, operations that take time
      is       │  ├── rules      what a network security group takes
               │  └── rendering  how it is told: ids, back references, states
               ├── server        the same over HTTP
               └── data_plane    the same in force: nftables of `edge` and `fabric`, two namespaces

A test begins with ``Arm(clock)``, fills it by ``Scene(arm)`` or by one of `scenes`, and either calls
``arm.handle(Request.to(...))`` or talks HTTP to ``serve(arm)``. See docs/reference/fake-azure.md.
"""
