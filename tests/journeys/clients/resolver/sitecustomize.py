"""A resolver for Python clients that use virtual-host style: every name under `localhost` is this machine.

Python imports this by itself when its folder is on PYTHONPATH. What RFC 6761 says of these names, browsers
and systemd do; the C library of many systems does not.
"""

import socket

_look_up = socket.getaddrinfo


def _of_this_machine(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    return _look_up("127.0.0.1" if isinstance(name, str) and name.endswith(".localhost") else host, *args, **kwargs)


socket.getaddrinfo = _of_this_machine
