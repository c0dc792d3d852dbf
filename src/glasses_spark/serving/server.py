"""Server: runs a service until a signal ends it."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import uvicorn

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.open_files import reserve_files
from glasses_spark.runtime.signals import Signals
from glasses_spark.scorer.scorer import Scorer
from glasses_spark.serving.app import create_app
from glasses_spark.serving.connection import connection_type
from glasses_spark.serving.settings import ServeSettings

logger = logging.getLogger(__name__)

# Connections at a time; more get 503.
_CONNECTIONS: Final = 1024

# Seconds in which running requests may end after a signal.
_GRACE_S: Final = 10

_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")


def serve(
    scorer: Scorer,
    settings: ServeSettings,
    *,
    host: str,
    port: int,
    ready: Callable[[str], None],
) -> None:
    """Answer requests until SIGTERM or SIGINT; those that are running are completed.

    Args:
        scorer: The model.
        settings: Limits and access.
        host: Name or address of the interface.
        port: TCP port; 0 for any free one.
        ready: Called with the URL when the port is open.

    Raises:
        ConfigError: The port cannot be opened.
        ScoringError: The model does not take images.
    """
    is_open = not _is_loopback(host)
    if not is_open:
        settings = replace(settings, hosts=_LOOPBACK_NAMES)
    app = create_app(scorer, settings)
    reserve_files(_CONNECTIONS)
    config = uvicorn.Config(
        app,
        http=connection_type(settings.timeout_s),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_S,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=config.backlog)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--host {host} --port {port}: cannot be opened "
            f"({getattr(error, 'strerror', None) or error}). Use another port"
        ) from error
    # The server passes a signal on when it has ended.
    with listener, Signals(at_once=True):
        if is_open and not settings.token:
            logger.warning("Anyone who reaches %s may use the service. Set a token", host)
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listener])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
