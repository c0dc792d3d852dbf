"""Address of the driver, at which executors connect to Spark and to the parameter server."""

from __future__ import annotations

import socket
from collections.abc import Callable


def driver_addresses(
    conf: Callable[[str], str | None], *, default: str | None = None
) -> tuple[str, str]:
    """Return the host at which executors reach the driver, and the address it binds.

    Args:
        conf: Returns a Spark setting by its name, or None. Both addresses are those of Spark's
            own server.
        default: The host if no setting names one; None for the name of this machine.
    """
    host = conf("spark.driver.host") or default or socket.gethostname()
    return host, conf("spark.driver.bindAddress") or host
