"""The server's port, taken before anything else is started."""

from __future__ import annotations

import errno
import os
import socket

from toolkit.errors import ConfigError


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises ConfigError that names the port and the way out."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only where TCP is named: with it, small answers wait for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
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
