"""Tests for glasses_spark.runtime.traced."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tensorflow as tf

from glasses_spark.runtime.traced import Traced


def _doubled_by(variable: tf.Variable) -> Traced:
    def function(numbers: tf.Tensor) -> tf.Tensor:
        return numbers * variable

    return Traced(function, [tf.TensorSpec((None,), "float32")])


def test_it_takes_arrays_of_any_length_and_reads_variables() -> None:
    variable = tf.Variable(2.0)
    function = _doubled_by(variable)
    assert function(np.array([1, 2], np.float32)).numpy().tolist() == [2, 4]
    variable.assign(3.0)
    assert function(np.array([1, 2, 3], np.float32)).numpy().tolist() == [3, 6, 9]


def test_it_raises_the_error_of_its_function_at_the_first_call() -> None:
    def function(numbers: tf.Tensor) -> tf.Tensor:
        raise ValueError("no such layer")

    traced = Traced(function, [tf.TensorSpec((None,), "float32")])
    with pytest.raises(ValueError, match="no such layer"):
        traced.trace()


def test_many_functions_of_the_same_code_are_no_retracing(caplog: pytest.LogCaptureFixture) -> None:
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    level, _ = logger.level, logger.setLevel(logging.WARNING)
    try:
        for factor in range(12):
            function = _doubled_by(tf.Variable(float(factor)))
            assert function(np.ones(1, np.float32)).numpy().tolist() == [factor]
    finally:
        logger.setLevel(level)
        logger.removeHandler(caplog.handler)
    assert "retracing" not in caplog.text
