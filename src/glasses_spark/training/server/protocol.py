"""Protocol: encoding and decoding of messages between workers and parameter server.

A message is four bytes with the length of the header, the header as a JSON
object, and a payload of raw numbers of a length that the receiver knows. It is sent in
chunks, which need half the CPU time of one piece of 100 MB. A message cannot carry code, and
the receiver checks every length.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from glasses_spark.errors import TrainingError
from glasses_spark.training.weights import Vector

# Room for the state of many metrics and for a worker's traceback.
MAX_HEADER_BYTES = 4 << 20

# Of the payload in one piece.
CHUNK_BYTES = 2 << 20

# Upper limit for counts of rows, steps and attempts.
INTEGER_LIMIT = 2**63

# Upper limit for durations, in seconds: 30 years.
LONGEST_S = 1e9
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

    def seconds(self, key: str) -> float:
        """Return a field that must be a duration in seconds, from 0 to `LONGEST_S`."""
        value = self.header.get(key)
        if isinstance(value, float) and 0 <= value <= LONGEST_S:
            return value
        raise ProtocolError(
            f"{key}: expected a number of seconds from 0 to {LONGEST_S:g}, got {_brief(value)}"
        )

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


def encode(header: Mapping[str, Any], vector: Vector | None = None) -> Iterator[bytes]:
    """Encode a header and an optional vector, in chunks."""
    text = json.dumps(header, separators=(",", ":")).encode()
    numbers = np.zeros(0, np.uint8)
    if vector is not None:
        numbers = np.ascontiguousarray(vector).view(np.uint8)
    yield b"".join([_LENGTH.pack(len(text)), text, numbers[:CHUNK_BYTES].tobytes()])
    for start in range(CHUNK_BYTES, len(numbers), CHUNK_BYTES):
        yield numbers[start : start + CHUNK_BYTES].tobytes()


def decode(chunks: Iterable[bytes], *, size: int, dtype: str) -> Message:
    """Decode a message.

    Args:
        chunks: The received bytes; the first chunk has the whole header.
        size: Number of values in a payload.
        dtype: Type of these numbers.

    Raises:
        ProtocolError: The header is truncated, too long or not a JSON object, or
            the payload is neither empty nor of ``size`` numbers.
    """
    following = iter(chunks)
    first = next(following, b"")
    if len(first) < _LENGTH.size:
        raise ProtocolError(f"expected at least {_LENGTH.size} bytes, got {len(first)}")
    (length,) = _LENGTH.unpack_from(first)
    start = _LENGTH.size + length
    if length > MAX_HEADER_BYTES or start > len(first):
        raise ProtocolError(f"a header of {length} bytes does not fit into {len(first)} bytes")
    try:
        header = json.loads(first[_LENGTH.size : start])
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ProtocolError(f"expected a JSON object as header, got {_brief(header)}")
    return Message(header, _decode_vector(chain([first[start:]], following), size, dtype))


def _decode_vector(chunks: Iterable[bytes], size: int, dtype: str) -> Vector | None:
    """Return the numbers of a payload; None if it is empty."""
    vector, end = None, 0
    expected = size * np.dtype(dtype).itemsize
    for chunk in chunks:
        if not chunk:
            continue
        start, end = end, end + len(chunk)
        if end > expected:
            break
        if vector is None:
            vector = np.empty(size, dtype)
        vector.view(np.uint8)[start:end] = np.frombuffer(chunk, np.uint8)
    if end not in (0, expected):
        raise ProtocolError(f"expected a payload of {expected} bytes, got {end}")
    return vector


def _integer(key: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < INTEGER_LIMIT:
        return value
    raise ProtocolError(f"{key}: expected an integer of at least 0, got {_brief(value)}")


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
