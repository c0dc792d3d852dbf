"""Tests for glasses_spark.seeds."""

from __future__ import annotations

from glasses_spark.seeds import derive_seed


def test_a_derived_seed_is_the_same_on_each_machine() -> None:
    # First 4 bytes of the SHA-256 of "7/shuffle/1/2", without the lowest bit.
    assert derive_seed(7, "shuffle", 1, 2) == 1520006028


def test_other_names_or_seeds_give_other_seeds() -> None:
    seeds = {derive_seed(seed, name, 0) for seed in range(10) for name in ("split", "shuffle")}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**31 for seed in seeds)
