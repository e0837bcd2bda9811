"""A TCP gateway in front of machines that cannot run an agent.

::

    roster     the gateways and the machines behind them, as a file
    ports      which mapped port stands for which port of which machine, for ever
    gateway    what is desired, made so: doors, and who may come in until when
    door       the listening sockets of one mapped port, there only while a grant is live
    relay      one connection: bytes both ways, with bounded memory
    probe      whether a machine can be reached past the gateway
    connector  the server's end

It needs no right: mapped ports are above 1023. What it holds ends with its process: then nothing listens.
"""
