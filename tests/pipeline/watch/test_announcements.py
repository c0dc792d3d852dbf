"""Tests for glasses_spark.pipeline.watch.announcements."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from glasses_spark.pipeline.watch.announcements import Announcements
from glasses_spark.pipeline.watch.arrivals import Arrival


def test_files_are_known_again_and_other_names_in_the_folder_are_passed_over(
    spark: SparkSession, tmp_path: Path
) -> None:
    added = [Arrival("file:/a.png"), Arrival("file:/a.png", "bad"), Arrival("file:/b\n.png")]
    Announcements(spark, str(tmp_path)).add(added[:2])
    (tmp_path / "1st.txt").touch()
    (tmp_path / "\u00b2.txt").touch()
    Announcements(spark, str(tmp_path)).add(added[2:])
    assert (tmp_path / "000000000002.jsonl").exists()
    assert Announcements(spark, str(tmp_path)).known() == {arrival.key for arrival in added}
