"""Fuzz target ``messages``: calls of a worker with valid credentials to the parameter server."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any, Final

import grpc
import numpy as np

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.training.history import EpochTotals
from glasses_spark.training.server.certificates import SERVER_NAME
from glasses_spark.training.server.parameter_server import SERVICE
from tests.fuzz.target import Check, Target, flipped, refused
from tests.training.server.served_fit import ServedFit

# The first byte of an input selects the call.
CALLS: Final = (
    *("Join", "Pull", "Push", "FinishEpoch", "OptimizerState", "Heartbeat", "Fail"),
    "NoSuchCall",
)

# Of a call, whatever it says.
_ANSWERS: Final = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNIMPLEMENTED,
)

_VALUES: Final[tuple[Any, ...]] = (
    *(0, 1, -1, 2**31, 2**63, 2**64, 1e308, float("nan"), float("inf"), True, None, "", "x" * 99),
    *([], [0], [0, 0], [[0, 1]], [[1]], {}, [1e308] * 4, [float("nan")] * 4),
)


def seeds() -> list[bytes]:
    """Return the calls of a worker that trains."""
    caller = {"workers": [0], "attempt": 0}
    size = ServedFit().weights.layout.size
    update = np.full(size, 0.5, np.float32).tobytes()
    metrics = [0.0] * 4
    push = {"worker": 0, "position": [0, 0], "rows": 4, "metrics": metrics, "version": 0}
    end = {"epoch": 0, "metrics": metrics, "seconds": 1.0, "waiting": 0.5, "random": []}
    return [
        _call("Join", {**caller, "host": "host"}),
        _call("Join", {"workers": [0, 1], "attempt": 1, "host": "host"}),
        _call("Pull", {**caller, "position": [0, 0]}),
        _call("Push", {**caller, **push, "random": [], "awaited": [0, 1]}, update),
        _call("Push", {**caller, **push, "random": [[1, 2]], "memory": 0}),
        _call("FinishEpoch", {**caller, **end, "worker": 0, "wait": False}),
        _call("OptimizerState", {**caller, "worker": 0, "part": 0, "epochs": 1}, update),
        _call("OptimizerState", {**caller, "worker": 0, "part": 0}),
        _call("Heartbeat", caller),
        _call("Fail", {**caller, "host": "host", "error": "no memory", "traceback": "line 1"}),
        _call("NoSuchCall", {}),
    ]


@contextmanager
def opened() -> Iterator[Check]:
    """Provide a check: a call is answered or refused, and only ends the fit by its rules."""
    fits: list[tuple[ServedFit, grpc.Channel]] = []

    def current() -> tuple[ServedFit, grpc.Channel]:
        if not fits:
            fit = ServedFit(shared_memory=False)
            fit.server.__enter__()
            fits.append((fit, _channel(fit)))
            _send(fits[0][1], _call("Join", {"workers": [0], "attempt": 0, "host": "host"}))
        return fits[0]

    def end() -> None:
        while fits:
            fit, channel = fits.pop()
            channel.close()
            fit.server.__exit__(None, None, None)

    def check(data: bytes) -> None:
        fit, channel = current()
        _send(channel, data)
        weights = fit.weights.vector()
        assert np.isfinite(weights).all()
        finished: list[EpochTotals | None] = []
        # A worker may end the fit, by a failure of its own.
        if refused(
            lambda: finished.append(fit.coordinator.next_epoch(running=lambda: False)),
            TrainingError,
        ):
            return end()
        for totals in filter(None, finished):
            assert np.isfinite(totals.metric_state).all()
            assert np.isfinite(totals.validation_state).all()
            assert all(np.isfinite(share.seconds) for share in totals.workers)
        return None

    try:
        yield check
    finally:
        end()


def mutate(data: bytes, chance: Random) -> bytes:
    """Change a field of the header, the order of things or the length of the vector."""
    try:
        (length,) = struct.unpack_from(">I", data, 1)
        header = json.loads(data[5 : 5 + length])
        vector = data[5 + length :]
        if not isinstance(header, dict):
            return flipped(data, chance)
        name = chance.choice([*header, "memory", "awaited"])
    except (ValueError, struct.error, TypeError):
        return flipped(data, chance)
    match chance.randrange(5):
        case 0:
            vector = flipped(vector, chance)
        case 1:
            header.pop(name, None)
        case 2:
            return bytes([chance.randrange(len(CALLS))]) + data[1:]
        case _:
            header[name] = chance.choice(_VALUES)
    return data[:1] + _body(header, vector)


def _call(name: str, header: Mapping[str, Any], vector: bytes = b"") -> bytes:
    return bytes([CALLS.index(name)]) + _body(header, vector)


def _body(header: Mapping[str, Any], vector: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + vector


def _channel(fit: ServedFit) -> grpc.Channel:
    tls = grpc.ssl_channel_credentials(
        fit.credentials.trusted, fit.credentials.own.key, fit.credentials.own.certificate
    )
    options = [("grpc.ssl_target_name_override", SERVER_NAME)]
    return grpc.secure_channel(f"{LOOPBACK}:{fit.server.port}", tls, options=options)


def _send(channel: grpc.Channel, data: bytes) -> None:
    method = CALLS[data[0] % len(CALLS)] if data else CALLS[0]
    try:
        channel.unary_unary(f"/{SERVICE}/{method}")(data[1:], timeout=20)
    except grpc.RpcError as error:
        if error.code() not in _ANSWERS:
            raise


MESSAGES: Final = Target("messages", seeds, opened, mutate)
