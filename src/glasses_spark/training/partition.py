"""Partition: every row to one worker, equally to within one row."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Final, NamedTuple

from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from glasses_spark.training.rows import KEY, VALIDATION
from glasses_spark.training.schedule import share

# The upper bits of a row's key; their counts are all that the driver sees of the rows.
BUCKET_BITS: Final = 12
# Leaves the ids of 2**31 partitions their room in a bigint.
TIE_OFFSET_BITS: Final = 30
_TIE: Final = "tie"
_BUCKET: Final = f"CAST(shiftright({KEY}, {64 - BUCKET_BITS}) AS INT)"
_MASK: Final = 2**32 - 1


class _Cut(NamedTuple):
    """Where a run of rows begins: the row with this key and tie, or the first one behind."""

    key: int
    tie: int


@dataclass(frozen=True)
class Partitioned:
    """Rows with their workers.

    Attributes:
        frame: The rows, one Spark partition a worker: partition ``w`` is worker ``w``'s.
        rows: Training rows of each worker.
        validation_rows: Validation rows of each worker.
    """

    frame: DataFrame
    rows: tuple[int, ...]
    validation_rows: tuple[int, ...]


def add_keys(frame: DataFrame, columns: Sequence[str], *, seed: int) -> DataFrame:
    """Give every row a key made from what is in it.

    The key decides a row's worker and its place among that worker's rows, so
    neither depends on how the input was partitioned or listed. Rows with the
    same key are alike, but for one pair in 2**64, and a number tells them
    apart where they must be shared out.

    Args:
        frame: Rows.
        columns: What makes a row.
        seed: Another seed gives other keys.

    Returns:
        ``frame`` with a key (bigint). No two calls give the same plan: Spark
        would keep the rows of two such frames once, and let go of both with either.
    """
    key = F.xxhash64(F.lit(seed), *(F.col(name) for name in columns))
    tie = F.monotonically_increasing_id() + F.lit(secrets.randbits(TIE_OFFSET_BITS))
    return frame.withColumn(KEY, key).withColumn(_TIE, tie)


def count_buckets(keyed: DataFrame) -> list[Row]:
    """Count the rows of each bucket of keys: ``validation, bucket, count``, at most 8,192 rows."""
    return keyed.groupBy(VALIDATION, F.expr(_BUCKET).alias("bucket")).count().collect()


def partition(keyed: DataFrame, buckets: Sequence[Row], workers: int) -> Partitioned:
    """Send every row to one worker.

    The rows in the order of their keys are cut into ``workers`` runs of the
    same length. Where the cuts lie is found from the counts of the buckets and,
    where one lies inside a bucket and not before its first row, by Spark.

    Args:
        keyed: What `add_keys` made, persisted: it is read twice, and must be
            the same both times.
        buckets: What `count_buckets` counted.
        workers: Count of workers, at least 1.

    Returns:
        The rows with their workers.
    """
    shares: dict[bool, tuple[int, ...]] = {}
    cuts: dict[bool, list[_Cut]] = {False: [], True: []}
    inside: list[tuple[bool, int, int]] = []
    for validation in (False, True):
        counts = sorted((r["bucket"], r["count"]) for r in buckets if r[VALIDATION] == validation)
        total = sum(count for _, count in counts)
        shares[validation] = share(total, workers)
        for cut in set(accumulate(shares[validation])) - {0, total}:
            bucket, place = _find(counts, cut)
            if place:
                inside.append((validation, bucket, place))
            else:
                cuts[validation].append(_Cut(bucket << 64 - BUCKET_BITS, 0))
    for row in _rows_at(keyed, inside) if inside else []:
        cuts[row[VALIDATION]].append(_Cut(row[KEY], row[_TIE]))
    runs = [_run(sorted(cuts[validation]), shares[validation]) for validation in (True, False)]
    address = F.expr(f"CASE WHEN {VALIDATION} THEN {runs[0]} ELSE {runs[1]} END")
    placed = keyed.repartition(workers, address.cast("int"))
    return Partitioned(placed.drop(_TIE), shares[False], shares[True])


def spark_hash(number: int) -> int:
    """Spark's ``hash`` of an int: Murmur3, 32 bit, by Austin Appleby, with the seed 42.

    Returns:
        A whole number in [0, 2**32); Spark's is the same, read as signed.
    """

    def rotated(value: int, bits: int) -> int:
        return (value << bits | value >> (32 - bits)) & _MASK

    mixed = rotated(number * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK
    value = (rotated(42 ^ mixed, 13) * 5 + 0xE6546B64) & _MASK
    value ^= 4  # the length of an int in bytes
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16


def _find(counts: list[tuple[int, int]], place: int) -> tuple[int, int]:
    """The bucket that holds the row at a place, and the row's place in it."""
    for bucket, rows in counts:
        if place < rows:
            return bucket, place
        place -= rows
    raise AssertionError("a place beyond the last row")


def _rows_at(keyed: DataFrame, wanted: Sequence[tuple[bool, int, int]]) -> list[Row]:
    """The keys of the rows at the wanted places of their buckets."""
    buckets = ", ".join(f"({flag}, {bucket})" for flag, bucket in {w[:2] for w in wanted})
    places = ", ".join(f"({flag}, {bucket}, {place})" for flag, bucket, place in wanted)
    window = Window.partitionBy(VALIDATION, F.expr(_BUCKET)).orderBy(KEY, _TIE)
    return (
        keyed.where(f"({VALIDATION}, {_BUCKET}) IN ({buckets})")
        .select(VALIDATION, KEY, _TIE, (F.row_number().over(window) - 1).alias("place"))
        .where(f"({VALIDATION}, {_BUCKET}, place) IN ({places})")
        .collect()
    )


def _run(cuts: list[_Cut], shares: tuple[int, ...]) -> str:
    """SQL for the number that sends a row to the worker in whose run it lies.

    A search by halves: as text, and log2(workers) deep, as Spark's planner
    takes long over an expression of many nodes and fails on a deep one.
    """
    # With fewer rows than workers some runs are empty: they have no cut either.
    filled = [worker for worker, rows in enumerate(shares) if rows] or [0]
    addresses = _addresses(len(shares))

    def search(first: int, last: int) -> str:
        if first == last:
            return str(addresses[filled[first]])
        middle = (first + last + 1) // 2
        key, tie = cuts[middle - 1]
        behind = f"{KEY} > {key}L OR ({KEY} = {key}L AND {_TIE} >= {tie}L)"
        return (
            f"CASE WHEN {behind} THEN {search(middle, last)} ELSE {search(first, middle - 1)} END"
        )

    return search(0, len(filled) - 1)


def _addresses(workers: int) -> list[int]:
    """For each worker a number that Spark's hash partitioning sends to that partition.

    Spark 4.0 has no call that puts a row into a partition by its number.
    """
    found: dict[int, int] = {}
    for number in count():
        value = spark_hash(number)
        signed = value - 2**32 if value >= 2**31 else value
        found.setdefault(signed % workers, number)
        if len(found) == workers:
            return [found[worker] for worker in range(workers)]
    raise AssertionError("unreachable")
