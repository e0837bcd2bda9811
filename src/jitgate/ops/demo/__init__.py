"""``jitgate demo``: the whole of jitgate at work, on machines that it makes and removes.

::

    command ── rights        root, or a user namespace of one's own
            ├─ stage         builds and removes what the story plays on
            │   ├─ network         machines and clients: network namespaces, joined by a router
            │   ├─ listeners       an sshd of their own on the machines, or an echo
            │   ├─ installation    a real `jitgate serve`, and its clients
            │   └─ traces          what a demo leaves behind, found by its process id
            ├─ gateway_story   the same with a gateway on loopback, where there are no rights to be had
            └─ story         one step after the other, each proven with real TCP connections
"""
