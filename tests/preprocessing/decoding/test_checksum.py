"""Tests for glasses_spark.preprocessing.decoding.checksum."""

from __future__ import annotations

import subprocess
import sys
import zlib

from glasses_spark.preprocessing.decoding.checksum import crc32


def test_the_checksum_is_that_of_zlib() -> None:
    content = bytes(range(256)) * 40

    assert crc32(b"123456789", 0) == 0xCBF43926  # the check value of CRC-32
    assert crc32(content[100:], crc32(content[:100], 0)) == zlib.crc32(content)


def test_zlib_is_used_without_isal() -> None:
    script = """
import sys, zlib
sys.modules["isal"] = None  # as if it were not installed
from glasses_spark.preprocessing.decoding import checksum
assert checksum.crc32 is zlib.crc32
"""

    subprocess.run([sys.executable, "-c", script], check=True)
