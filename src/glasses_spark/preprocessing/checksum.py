"""Checksums of PNG chunks: a tenth of zlib's time where ISA-L is installed."""

from __future__ import annotations

try:
    from isal.isal_zlib import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32"]
