"""Tests for glasses_spark.runtime.spark_home."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from glasses_spark.errors import SetupError
from glasses_spark.runtime.session import build_session


def test_a_spark_home_without_spark_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))

    with pytest.raises(SetupError, match=f"found no bin/spark-submit in SPARK_HOME={tmp_path};"):
        build_session()


def test_another_version_of_pyspark_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setattr("pyspark.__version__", "3.5.4")

    with pytest.raises(SetupError, match=r"found pyspark 3\.5\.4 in .*; wanted 4\.0\. Install"):
        build_session()


def test_jars_of_another_version_than_pyspark_are_rejected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("bin/spark-submit", "python/lib/py4j-1-src.zip", "jars/spark-core_2.13-4.0.7.jar"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)

    with pytest.raises(SetupError, match=r"found pyspark 4\.0\.0 .* spark-core_2\.13-4\.0\.7\.jar"):
        build_session()
