"""Open files: the limit of this process, which a server of many connections may have to raise."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

_DESCRIPTORS: Final = Path("/proc/self/fd")

# For the files and connections that the rest of the process opens meanwhile.
RESERVE: Final = 256


def reserve_files(count: int) -> int:
    """Let this process open a number of further files, as far as the system allows.

    The soft limit is raised if it is too low, to what is needed and not to the hard limit:
    child processes inherit it, and ``select`` takes no descriptor above 1,023. It is not
    lowered afterwards, because others may rely on it by then.

    Args:
        count: Number of files, beside the open ones and `RESERVE`.

    Returns:
        How many of them can be opened; may be negative.
    """
    # Without /proc the limit alone counts.
    opened = len(os.listdir(_DESCRIPTORS)) if _DESCRIPTORS.is_dir() else 0
    used = opened + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return count
    if soft < used + count:
        wanted = used + count if hard == resource.RLIM_INFINITY else min(used + count, hard)
        if wanted > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return min(count, soft - used)
