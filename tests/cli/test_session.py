"""Tests for glasses_spark.cli.session."""

from __future__ import annotations

from argparse import Namespace

from pyspark.sql import SparkSession

from glasses_spark.cli.session import command_session
from glasses_spark.config.config import Config


def test_a_command_uses_a_running_session_and_leaves_it_running(
    spark: SparkSession,
) -> None:
    arguments = Namespace(debug=False, verbose=False)

    with command_session(Config(), arguments, imports=lambda: None) as session:
        assert session.range(3).count() == 3

    assert spark.range(3).count() == 3
