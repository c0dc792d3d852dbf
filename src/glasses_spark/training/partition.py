"""Partition: assigns every row to one worker, equally to within one row, and to its task."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Final, NamedTuple

from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from glasses_spark.training.rows import KEY, VALIDATION, WORKER
from glasses_spark.training.schedule import hosted_workers, share

# Upper bits of a row's key. The driver collects the number of rows for each value of them.
BUCKET_BITS: Final = 12
# Leaves room for the ids of 2**31 partitions in a bigint.
TIE_OFFSET_BITS: Final = 30
_TIE: Final = "tie"
_BUCKET: Final = f"CAST(shiftright({KEY}, {64 - BUCKET_BITS}) AS INT)"
_MASK: Final = 2**32 - 1


class _Cut(NamedTuple):
    """Start of a range of rows: the first row with this key and tie, or after them."""

    key: int
    tie: int


@dataclass(frozen=True)
class Partitioned:
    """Rows with the number of their worker.

    Attributes:
        frame: The rows, with the column ``worker`` (int), from 0.
        rows: Training rows of each worker.
        validation_rows: Validation rows of each worker.
    """

    frame: DataFrame
    rows: tuple[int, ...]
    validation_rows: tuple[int, ...]

    def by_task(self, tasks: int) -> DataFrame:
        """Return the rows partitioned by task.

        Args:
            tasks: Number of tasks, from 1 to the number of workers.

        Returns:
            Rows whose Spark partition ``t`` has those of the workers
            ``hosted_workers(t, ...)``.
        """
        workers = len(self.rows)
        numbers = _addresses(tasks)
        addresses = ", ".join(
            str(numbers[task])
            for task in range(tasks)
            for _ in hosted_workers(task, tasks=tasks, workers=workers)
        )
        return self.frame.repartition(tasks, F.expr(f"array({addresses})[{WORKER}]"))


def add_keys(frame: DataFrame, columns: Sequence[str], *, seed: int) -> DataFrame:
    """Add a key to every row, computed from its contents.

    The key decides the worker of a row and its position among the worker's rows, so that
    neither depends on the partitions or the order of the input. Rows with the same key
    are equal, except for one pair in 2**64; a second number, the tie, orders them.

    Args:
        frame: Rows.
        columns: Columns that the key is computed from.
        seed: Seed; another seed gives other keys.

    Returns:
        ``frame`` with a key and a tie (bigint). Two calls never give the same plan:
        Spark would cache equal plans once, and unpersist both with either.
    """
    key = F.xxhash64(F.lit(seed), *(F.col(name) for name in columns))
    tie = F.monotonically_increasing_id() + F.lit(secrets.randbits(TIE_OFFSET_BITS))
    return frame.withColumn(KEY, key).withColumn(_TIE, tie)


def count_buckets(keyed: DataFrame) -> list[Row]:
    """Count the rows of each bucket of keys.

    Returns:
        Rows of ``validation``, ``bucket``, ``count`` and ``digest``, at most 8,192. The digest
        is the exclusive or of the keys, so it depends on all contents.
    """
    buckets = keyed.groupBy(VALIDATION, F.expr(_BUCKET).alias("bucket"))
    return buckets.agg(F.count("*").alias("count"), F.bit_xor(KEY).alias("digest")).collect()


def partition(keyed: DataFrame, buckets: Sequence[Row], workers: int) -> Partitioned:
    """Assign every row to one worker.

    The rows, ordered by their keys, are cut into ``workers`` ranges of the same length.
    A cut at the start of a bucket follows from the counts of the buckets. For a cut
    inside a bucket, Spark looks up the key of the row.

    Args:
        keyed: Result of `add_keys`, persisted: it is read twice, and must be the same
            both times.
        buckets: Result of `count_buckets`.
        workers: Number of workers, at least 1.
    """
    shares: dict[bool, tuple[int, ...]] = {}
    cuts: dict[bool, list[_Cut]] = {False: [], True: []}
    inside: list[tuple[bool, int, int]] = []
    for validation in (False, True):
        counts = sorted((r["bucket"], r["count"]) for r in buckets if r[VALIDATION] == validation)
        total = sum(count for _, count in counts)
        shares[validation] = share(total, workers)
        for cut in set(accumulate(shares[validation])) - {0, total}:
            bucket, offset = _locate(counts, cut)
            if offset:
                inside.append((validation, bucket, offset))
            else:
                cuts[validation].append(_Cut(bucket << 64 - BUCKET_BITS, 0))
    for row in _rows_at(keyed, inside) if inside else []:
        cuts[row[VALIDATION]].append(_Cut(row[KEY], row[_TIE]))
    numbers = {
        validation: _worker_number(sorted(cuts[validation]), shares[validation])
        for validation in (True, False)
    }
    number = F.expr(f"CASE WHEN {VALIDATION} THEN {numbers[True]} ELSE {numbers[False]} END")
    numbered = keyed.withColumn(WORKER, number.cast("int")).drop(_TIE)
    return Partitioned(numbered, shares[False], shares[True])


def spark_hash(number: int) -> int:
    """Return Spark's ``hash`` of an int: Murmur3, 32 bit, by Austin Appleby, with the seed 42.

    Returns:
        A whole number in [0, 2**32); Spark reads the same bits as a signed number.
    """

    def rotated(value: int, bits: int) -> int:
        return (value << bits | value >> (32 - bits)) & _MASK

    mixed = rotated(number * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK
    value = (rotated(42 ^ mixed, 13) * 5 + 0xE6546B64) & _MASK
    value ^= 4  # the length of an int in bytes
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16


def _locate(counts: list[tuple[int, int]], index: int) -> tuple[int, int]:
    """Return the bucket of the row with an index, and the row's offset in the bucket."""
    for bucket, rows in counts:
        if index < rows:
            return bucket, index
        index -= rows
    raise AssertionError("index after the last row")


def _rows_at(keyed: DataFrame, positions: Sequence[tuple[bool, int, int]]) -> list[Row]:
    """Return the keys of rows, given by validation flag, bucket and offset in the bucket."""
    buckets = ", ".join(f"({flag}, {bucket})" for flag, bucket in {p[:2] for p in positions})
    wanted = ", ".join(f"({flag}, {bucket}, {offset})" for flag, bucket, offset in positions)
    window = Window.partitionBy(VALIDATION, F.expr(_BUCKET)).orderBy(KEY, _TIE)
    return (
        keyed.where(f"({VALIDATION}, {_BUCKET}) IN ({buckets})")
        .select(VALIDATION, KEY, _TIE, (F.row_number().over(window) - 1).alias("offset"))
        .where(f"({VALIDATION}, {_BUCKET}, offset) IN ({wanted})")
        .collect()
    )


def _worker_number(cuts: list[_Cut], shares: tuple[int, ...]) -> str:
    """Return SQL for the number of the worker of a row.

    A binary search, log2(workers) deep, as SQL text: Spark's planner is slow on column
    expressions of many nodes, and fails on deep ones.
    """
    # With fewer rows than workers some workers have no rows, and no cut either.
    filled = [worker for worker, rows in enumerate(shares) if rows] or [0]

    def search(first: int, last: int) -> str:
        if first == last:
            return str(filled[first])
        middle = (first + last + 1) // 2
        key, tie = cuts[middle - 1]
        is_after = f"{KEY} > {key}L OR ({KEY} = {key}L AND {_TIE} >= {tie}L)"
        return (
            f"CASE WHEN {is_after} THEN {search(middle, last)} ELSE {search(first, middle - 1)} END"
        )

    return search(0, len(filled) - 1)


def _addresses(tasks: int) -> list[int]:
    """Return, for each task, a number that Spark's hash partitioning assigns to it.

    Spark 4.0 has no method that assigns a row to a partition by its number.
    """
    addresses: dict[int, int] = {}
    for number in count():
        value = spark_hash(number)
        signed = value - 2**32 if value >= 2**31 else value
        addresses.setdefault(signed % tasks, number)
        if len(addresses) == tasks:
            return [addresses[task] for task in range(tasks)]
    raise AssertionError("unreachable")
