"""Tests for glasses_spark.runtime.connect; those of tests/connect have a real server."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import SetupError
from glasses_spark.runtime.connect import (
    default_parallelism,
    has_connect_session,
    is_connect,
    master_of,
    require_classic,
    runs_locally,
    uses_connect,
)


def test_a_classic_session_is_recognized(spark: SparkSession) -> None:
    assert not is_connect(spark)
    require_classic(spark, "training", instead="do without")
    assert runs_locally(spark)
    assert master_of(spark) == "local[2,4]"
    assert default_parallelism(spark) == 2


def test_an_error_names_the_work_what_was_found_and_what_to_do() -> None:
    connect = pytest.importorskip("pyspark.sql.connect.session")
    # Never connected: a session says by its class what it is.
    session: Any = object.__new__(connect.SparkSession)
    assert is_connect(cast(SparkSession, session))
    with pytest.raises(SetupError) as error:
        require_classic(session, "a run", instead="call its stages one by one")
    assert str(error.value) == (
        "a run needs a classic session, whose driver is in this process, found one of Spark "
        "Connect. Start it with SparkSession.builder.master(...) or spark-submit, or call its "
        "stages one by one"
    )


@pytest.mark.parametrize("name", ["SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED"])
def test_the_environment_says_whether_sessions_are_those_of_spark_connect(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert not uses_connect()
    assert not has_connect_session()
    monkeypatch.setenv(name, "sc://127.0.0.1:15002")
    assert uses_connect()
