"""Machine: memory and loopback address."""

from __future__ import annotations

import os
from pathlib import Path

LOOPBACK = "127.0.0.1"


def total_memory() -> int:
    """Give the memory that this process may use, in bytes.

    Returns:
        The machine's, or the container's limit where that is lower.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text().strip()
        except OSError:
            continue
        # "max" where there is none.
        if text.isdigit():
            total = min(total, int(text))
    return total
