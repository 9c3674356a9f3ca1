"""The server's port, taken before anything else is started."""

from __future__ import annotations

import errno
import os
import socket
import sys

from toolkit.errors import ConfigError

# There the system spreads connections evenly over all who listen on one port together.
SPREADS = sys.platform == "linux"


def bind(host: str, port: int, *, together: bool = False, listen: bool = True) -> socket.socket:
    """Return a listening socket; raises ConfigError that names the port and the way out.

    `together`: others who bind the port so, too, may share it (where `SPREADS`).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only where TCP is named: with it, small answers wait for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if together:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host.strip("[]"), port))
        if listen:
            listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        problem = "is taken" if taken else f"cannot be had on {host} ({error.strerror})"
        raise ConfigError(
            f"port {port} {problem}; choose another with --port (or port=), "
            "or see who has it with `toolkit doctor`",
            field="port",
            value=port,
        ) from error
    return listener


def reserve(host: str, port: int) -> socket.socket:
    """Return what keeps a port for those who bind it `together`, and takes no connection itself.

    Raises ConfigError where somebody has the port.
    """
    with bind(host, port) as alone:
        port = alone.getsockname()[1]
    return bind(host, port, together=True, listen=False)
