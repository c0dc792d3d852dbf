"""Seeds: one for each random choice of a run, derived by name from the run's seed."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *names: str | int) -> int:
    """Derive the seed of one random choice.

    Args:
        seed: Seed of the run.
        names: Purpose of the seed, from general to specific, as in
            ``derive_seed(0, "shuffle", worker, epoch)``.

    Returns:
        An integer in [0, 2**31), a range that all random generators accept. It is the
        same on each machine and in each version of Python.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
