"""Seeds: every random choice of a run has its own, derived by name from the run's one seed."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *names: str | int) -> int:
    """Derive the seed of one random choice.

    Args:
        seed: Seed of the run.
        names: What the seed is for, from the general to the particular, as in
            ``derive_seed(0, "shuffle", worker, epoch)``.

    Returns:
        A whole number in [0, 2**31), the same on every machine and in every
        version of Python; it fits every generator in use here.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
