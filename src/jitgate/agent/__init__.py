"""What runs on a host and holds its firewall, in a process of its own.

It dials nobody and listens nowhere: it is handed one socket, on which a server says what each host must hold, and
answers what stands. When the socket closes it ends, and leaves the kernel to keep every deadline.
"""
