"""Protocol: encoding and decoding of messages between workers and parameter server.

A message is four bytes with the length of the header, the header as a JSON
object, and a payload of raw numbers of a length that the receiver knows. A message
cannot carry code, and the receiver checks every length.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glasses_spark.errors import TrainingError
from glasses_spark.training.weights import Vector

# Room for the state of many metrics and for a worker's traceback.
MAX_HEADER_BYTES = 4 << 20

# Upper limit for counts of rows, steps and attempts.
INTEGER_LIMIT = 2**63
_LENGTH = struct.Struct(">I")


class ProtocolError(TrainingError):
    """A message does not follow the protocol."""


class CallEndedError(TrainingError):
    """The server has ended what a call is about; the call itself was correct."""


@dataclass(frozen=True)
class Message:
    """A header and an optional flat vector."""

    header: Mapping[str, Any]
    vector: Vector | None = None

    def integer(self, key: str) -> int:
        """Return a field that must be an integer of at least 0."""
        return _integer(key, self.header.get(key))

    def number(self, key: str) -> float:
        """Return a field that must be a finite number."""
        value = self.header.get(key)
        if isinstance(value, float) and np.isfinite(value):
            return value
        raise ProtocolError(f"{key}: expected a finite number, got {_brief(value)}")

    def text(self, key: str) -> str:
        """Return a field that must be a string."""
        value = self.header.get(key)
        if not isinstance(value, str):
            raise ProtocolError(f"{key}: expected a string, got {_brief(value)}")
        return value

    def flag(self, key: str) -> bool:
        """Return a field that must be true or false."""
        value = self.header.get(key)
        if not isinstance(value, bool):
            raise ProtocolError(f"{key}: expected true or false, got {_brief(value)}")
        return value

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a field that must be a list of integers of at least 0."""
        value = self.header.get(key)
        if not isinstance(value, list):
            raise ProtocolError(f"{key}: expected a list of integers, got {_brief(value)}")
        return tuple(_integer(key, item) for item in value)

    def pairs(self, key: str) -> list[tuple[int, int]]:
        """Return a field that must be a list of pairs of integers of at least 0."""
        value = self.header.get(key)
        if not isinstance(value, list) or not all(
            isinstance(pair, list) and len(pair) == 2 for pair in value
        ):
            raise ProtocolError(f"{key}: expected a list of pairs, got {_brief(value)}")
        return [(_integer(key, first), _integer(key, second)) for first, second in value]

    def numbers(self, key: str, length: int) -> Vector:
        """Return a field that must be a list of ``length`` numbers, as float64."""
        value = self.header.get(key)
        if not isinstance(value, list) or len(value) != length:
            raise ProtocolError(f"{key}: expected a list of {length} numbers, got {_brief(value)}")
        if not all(isinstance(item, float) for item in value):
            raise ProtocolError(f"{key}: expected numbers, got {_brief(value)}")
        return np.asarray(value, np.float64)

    def update(self) -> Vector:
        """Return the vector, which the message must have."""
        if self.vector is None:
            raise ProtocolError("expected a vector of numbers, got none")
        return self.vector


def encode(header: Mapping[str, Any], vector: Vector | None = None) -> bytes:
    """Encode a header and an optional vector."""
    text = json.dumps(header, separators=(",", ":")).encode()
    numbers = b"" if vector is None else np.ascontiguousarray(vector).data
    return b"".join([_LENGTH.pack(len(text)), text, numbers])


def decode(data: bytes, *, size: int, dtype: str) -> Message:
    """Decode a message.

    Args:
        data: The received bytes.
        size: Number of values in a payload.
        dtype: Type of these numbers.

    Raises:
        ProtocolError: The header is truncated, too long or not a JSON object, or
            the payload is neither empty nor of ``size`` numbers.
    """
    if len(data) < _LENGTH.size:
        raise ProtocolError(f"expected at least {_LENGTH.size} bytes, got {len(data)}")
    (length,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + length
    if length > MAX_HEADER_BYTES or start > len(data):
        raise ProtocolError(f"a header of {length} bytes does not fit into {len(data)} bytes")
    try:
        header = json.loads(data[_LENGTH.size : start])
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ProtocolError(f"expected a JSON object as header, got {_brief(header)}")
    if len(data) == start:
        return Message(header)
    payload_bytes = size * np.dtype(dtype).itemsize
    if len(data) - start != payload_bytes:
        raise ProtocolError(f"expected a payload of {payload_bytes} bytes, got {len(data) - start}")
    return Message(header, np.frombuffer(data, dtype, count=size, offset=start))


def _integer(key: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < INTEGER_LIMIT:
        return value
    raise ProtocolError(f"{key}: expected an integer of at least 0, got {_brief(value)}")


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
