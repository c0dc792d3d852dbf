"""Partition: every row to one worker, equally to within one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Final

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from glasses_spark.training.rows import KEY, VALIDATION

# The upper bits of a row's key; their counts are all that the driver sees of the rows.
BUCKET_BITS: Final = 12
_TIE: Final = "tie"
_WORKER: Final = "worker"


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
        ``frame`` with a key (bigint).
    """
    key = F.xxhash64(F.lit(seed), *(F.col(name) for name in columns))
    return frame.withColumn(KEY, key).withColumn(_TIE, F.monotonically_increasing_id())


def count_buckets(keyed: DataFrame) -> list[Row]:
    """Count the rows of each bucket of keys: ``validation, bucket, count``, at most 8,192 rows."""
    return keyed.groupBy(VALIDATION, _bucket().alias("bucket")).count().collect()


def partition(keyed: DataFrame, buckets: Sequence[Row], workers: int) -> Partitioned:
    """Send every row to one worker.

    The rows in the order of their keys are cut into ``workers`` runs of the
    same length. Where the cuts lie is found from the counts of the buckets and,
    inside the few buckets that have a cut in them, by Spark.

    Args:
        keyed: What `add_keys` made, persisted: it is read twice, and must be
            the same both times.
        buckets: What `count_buckets` counted.
        workers: Count of workers, at least 1.

    Returns:
        The rows with their workers.
    """
    worker = F.lit(0)
    shares: dict[bool, tuple[int, ...]] = {}
    cuts: list[Row] = []
    wanted: dict[tuple[bool, int], list[int]] = {}
    for validation in (False, True):
        counts = sorted((r["bucket"], r["count"]) for r in buckets if r[VALIDATION] == validation)
        total = sum(count for _, count in counts)
        starts = [number * total // workers for number in range(workers + 1)]
        shares[validation] = tuple(stop - start for start, stop in pairwise(starts))
        for start in sorted({start for start in starts[1:-1] if 0 < start < total}):
            bucket, place = _find(counts, start)
            wanted.setdefault((validation, bucket), []).append(place)
    if wanted:
        cuts = _rows_at(keyed, wanted)
    for validation in (False, True):
        mine = [row for row in cuts if row[VALIDATION] == validation]
        worker = F.when(
            F.col(VALIDATION) == F.lit(validation), _run(mine, shares[validation])
        ).otherwise(worker)
    spread = keyed.withColumn(_WORKER, worker)
    address = _addresses(keyed, workers)
    placed = spread.repartition(workers, F.element_at(address, F.col(_WORKER) + 1))
    return Partitioned(placed.drop(_WORKER, _TIE), shares[False], shares[True])


def _bucket() -> Column:
    return F.shiftrightunsigned(F.col(KEY), 64 - BUCKET_BITS).cast("int")


def _find(counts: list[tuple[int, int]], place: int) -> tuple[int, int]:
    """The bucket that holds the row at a place, and the row's place in it."""
    for bucket, count in counts:
        if place < count:
            return bucket, place
        place -= count
    raise AssertionError("a place beyond the last row")


def _rows_at(keyed: DataFrame, wanted: dict[tuple[bool, int], list[int]]) -> list[Row]:
    """The key of the row at each wanted place of a bucket."""
    buckets = F.lit(False)
    places = F.lit(False)
    for (validation, bucket), numbers in wanted.items():
        here = (F.col(VALIDATION) == F.lit(validation)) & (_bucket() == bucket)
        buckets |= here
        places |= here & F.col("place").isin(numbers)
    window = Window.partitionBy(VALIDATION, _bucket()).orderBy(KEY, _TIE)
    return (
        keyed.where(buckets)
        .select(VALIDATION, KEY, _TIE)
        .withColumn("place", F.row_number().over(window) - 1)
        .where(places)
        .collect()
    )


def _run(cuts: list[Row], shares: tuple[int, ...]) -> Column:
    """The number of the worker's run that a row lies in."""
    # The order of the keys as unsigned numbers, which is that of their buckets.
    ordered = sorted(cuts, key=lambda row: (row[KEY] % 2**64, row[_TIE]))
    key = _unsigned_order(F.col(KEY))
    passed = []
    for row in ordered:
        cut = _unsigned_order(F.lit(row[KEY]))
        behind = (key > cut) | ((key == cut) & (F.col(_TIE) >= row[_TIE]))
        passed.append(behind.cast("int"))
    run = reduce(add, passed, F.lit(0))
    # With fewer rows than workers some runs are empty: skip over them.
    filled = [number for number, share in enumerate(shares) if share] or [0]
    return F.element_at(F.array(*(F.lit(number) for number in filled)), run + 1)


def _unsigned_order(key: Column) -> Column:
    """Shift a signed 64-bit number so that signed comparison orders it as unsigned."""
    return key.bitwiseXOR(F.lit(-(2**63)))


def _addresses(frame: DataFrame, workers: int) -> Column:
    """For each worker a number that Spark's hash partitioning sends to that partition.

    Spark 4.0 has no call that puts a row into a partition by its number.
    """
    spark = frame.sparkSession
    found: dict[int, int] = {}
    limit = 64 * workers
    while len(found) < workers:
        numbers = spark.range(limit).select(
            F.col("id").cast("int").alias("id"),
            F.pmod(F.hash(F.col("id").cast("int")), F.lit(workers)).alias("partition"),
        )
        first = numbers.groupBy("partition").agg(F.min("id").alias("id")).collect()
        found = {row["partition"]: row["id"] for row in first}
        limit *= 4
    return F.array(*(F.lit(found[worker]) for worker in range(workers)))
