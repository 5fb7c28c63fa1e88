"""Where other nodes reach this one, as far as can be told from here."""

import socket

from headrace.addresses import is_local


def own_address(controller: str) -> str:
    """The address from which this node reaches the controller; empty where there is no way to it.

    A controller on this machine, or at the end of a tunnel, has it say 127.0.0.1: nodes elsewhere need the setting.
    """
    if is_local(controller):
        return "127.0.0.1"
    host, _, port = controller.removeprefix("dns:///").rpartition(":")
    try:
        family, kind, protocol, _, found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # Of a datagram socket that sends nothing: the kernel only chooses the way.
            probe.connect(found)
            return str(probe.getsockname()[0])
    except OSError:
        return ""
