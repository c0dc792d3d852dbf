"""Tests of what a user sees if a fit or an evaluation cannot go on: one line, cause first.

Each case is a mistake of a user, or something that breaks meanwhile, on a real session.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark import (
    GlassesEstimator,
    GlassesEvaluator,
    GlassesModel,
    build_estimator,
    collect_scores,
    evaluate,
)
from glasses_spark.errors import (
    ConfigError,
    DataError,
    GlassesSparkError,
    ScoringError,
    TrainingError,
    WorkerError,
)
from glasses_spark.runtime.keras import import_keras
from tests.paths import ROOT
from tests.training.failing_functions import fail_batches, fail_row, kill_itself, wrong_type
from tests.training.tiny import FEATURES, tiny_model

# Never what a user sees first.
NOISE = ("Traceback", "stack trace below", "Py4J", "An error occurred while calling", "\n")

# Set in the processes of Spark's workers only.
IN_WORKER = "GLASSES_SPARK_THREADS"

Case = Callable[[Any], object]


def rows(
    spark: SparkSession,
    features: Any = tuple(range(FEATURES)),
    label: Any = 1.0,
    schema: Any = "features array<double>, label double",
) -> DataFrame:
    """Eight rows, of which the last one has these values."""
    value = [float(x) for x in features] if isinstance(features, tuple) else features
    plain: Any = [1.0] * FEATURES
    if not isinstance(value, list | None):
        plain = Vectors.dense(plain) if hasattr(value, "toArray") else value
    other = 0.0 if label is None or isinstance(label, float) else label
    return spark.createDataFrame([*[(plain, other)] * 7, (value, label)], schema).coalesce(1)


def estimator(model: Any = None, **changes: Any) -> GlassesEstimator:
    settings = {"epochs": 1, "batch_size": 4, "categorical": False, "verbose": 0} | changes
    return build_estimator(tiny_model() if model is None else model, **settings)


def classes(loss: str = "categorical_crossentropy", **changes: Any) -> GlassesEstimator:
    """An estimator of a model with three outputs."""
    keras = import_keras()
    model = keras.Sequential(
        [keras.Input((FEATURES,)), keras.layers.Dense(3, activation="softmax")]
    )
    model.compile("sgd", loss)
    return estimator(model, **changes)


def callback(method: str, error: Exception) -> Any:
    def fail(*_: object) -> None:
        raise error

    kind = type("Mine", (import_keras().callbacks.Callback,), {method: fail})
    return kind()


def bad_loss(work: Callable[[], object]) -> Callable[[Any, Any], Any]:
    """Return a loss that works in the driver and not in a worker."""

    def loss(y_true: Any, y_pred: Any) -> Any:
        if IN_WORKER in os.environ:
            work()
        return import_keras().losses.mean_squared_error(y_true, y_pred)

    return loss


def boom() -> None:
    raise RuntimeError("boom\nand a second line")


def memory() -> None:
    raise MemoryError


def model_of(*layers: Any, shape: tuple[int | None, ...] = (FEATURES,), loss: Any = "mse") -> Any:
    keras = import_keras()
    model = keras.Sequential([keras.Input(shape), *layers])
    if loss:
        model.compile("sgd", loss)
    return model


def dense() -> Any:
    return import_keras().layers.Dense(1)


def evaluated(frame: DataFrame) -> DataFrame:
    return frame.select("label", F.array(F.lit(0.5)).alias("prediction"))


def fit_both(spark: SparkSession) -> None:
    frame = rows(spark).withColumn("key", F.lit(1))
    estimator().fit(frame.join(rows(spark).withColumn("key", F.lit(1)), "key"))


def with_label(spark: SparkSession, function: Callable[..., Any]) -> DataFrame:
    return rows(spark).withColumn("label", F.udf(function, "double")("label"))


# Found in the driver, before a worker is started.
BEFORE: list[tuple[str, Case, type[GlassesSparkError], str]] = [
    ("pandas", lambda s: estimator().fit(rows(s).toPandas()), ConfigError, "got a pandas Data"),
    ("tuple", lambda s: estimator().fit(([], [])), ConfigError, "got a tuple of 2"),
    ("x and y", lambda s: estimator().fit(np.ones(3), np.ones(3)), ConfigError, "got a numpy nd"),
    ("rdd", lambda s: estimator().fit(rows(s).rdd), ConfigError, "got a pyspark RDD"),
    (
        "names of params",
        lambda s: estimator().fit(rows(s), {"epochs": 3}),
        ConfigError,
        "^params: expected Params as the keys of a mapping, got 'epochs'",
    ),
    ("none", lambda s: estimator().fit(None), ConfigError, "got None"),
    (
        "pipeline of pandas",
        lambda s: Pipeline(stages=[estimator()]).fit(rows(s).toPandas()),
        ConfigError,
        "got a pandas DataFrame",
    ),
    (
        "evaluate pandas",
        lambda s: evaluate(rows(s).toPandas()),
        ConfigError,
        "^evaluate: expected a Spark DataFrame",
    ),
    (
        "evaluator of pandas",
        lambda s: GlassesEvaluator().evaluate(rows(s).toPandas()),
        ConfigError,
        "^evaluate: expected a Spark DataFrame",
    ),
    (
        "transform of an array",
        lambda s: GlassesModel().transform(np.ones((2, 2))),
        ConfigError,
        "^transform: expected a Spark DataFrame, got a numpy ndarray",
    ),
    (
        "stream",
        lambda s: estimator().fit(
            s.readStream.format("rate").load().selectExpr("array(1D) features", "1D label")
        ),
        ConfigError,
        "got a stream. Read the rows with",
    ),
    ("empty", lambda s: estimator().fit(rows(s).limit(0)), TrainingError, "rows to train on, got"),
    (
        "only validation",
        lambda s: estimator(validationIndicatorCol="v").fit(rows(s).withColumn("v", F.lit(True))),
        TrainingError,
        "expected rows to train on, got none",
    ),
    (
        "strings",
        lambda s: estimator().fit(rows(s, "a", schema="features string, label double")),
        DataError,
        "column 'features': expected .*, got string",
    ),
    (
        "arrays of arrays",
        lambda s: estimator().fit(rows(s).withColumn("features", F.array("features"))),
        DataError,
        "got array<array<double>>",
    ),
    (
        "label of strings",
        lambda s: estimator().fit(rows(s).withColumn("label", F.lit("yes"))),
        TrainingError,
        "column 'label': expected a number.*got string",
    ),
    (
        "label of booleans",
        lambda s: estimator().fit(rows(s).withColumn("label", F.lit(True))),
        TrainingError,
        "got boolean",
    ),
    (
        "label missing",
        lambda s: estimator(labelCol="lable").fit(rows(s)),
        TrainingError,
        "^labels: expected a column 'lable', got the columns features, label. Set labelCol",
    ),
    (
        "features missing",
        lambda s: estimator(featuresCol="x").fit(rows(s)),
        DataError,
        "features column 'x' not found",
    ),
    (
        "weights missing",
        lambda s: estimator(weightCol="w").fit(rows(s)),
        TrainingError,
        "weight column 'w' not found, .* Set weightCol",
    ),
    (
        "weights of strings",
        lambda s: estimator(weightCol="w").fit(rows(s).withColumn("w", F.lit("1"))),
        TrainingError,
        "weight column 'w': expected a number in each row, got string",
    ),
    (
        "validation missing",
        lambda s: estimator(validationIndicatorCol="v").fit(rows(s)),
        TrainingError,
        "validation column 'v' not found",
    ),
    (
        "validation of arrays",
        lambda s: estimator(validationIndicatorCol="features").fit(rows(s)),
        TrainingError,
        "validation column 'features': expected true or false",
    ),
    (
        "features twice",
        lambda s: estimator().fit(
            rows(s)
            .select("features", "label", F.array(F.lit(1)))
            .toDF("features", "label", "features")
        ),
        DataError,
        "features column 'features': expected one column of this name, got 2",
    ),
    (
        "label twice after a join",
        fit_both,
        GlassesSparkError,
        "expected one column of this name, got 2",
    ),
    (
        "label in two cases",
        lambda s: estimator().fit(rows(s).select("*", F.lit(1).alias("LABEL"))),
        TrainingError,
        "got 2: label, LABEL",
    ),
    (
        "no model",
        lambda s: estimator(lambda x: x),
        ConfigError,
        "model: expected a Keras model, got a function",
    ),
    (
        "class of a model",
        lambda s: estimator(import_keras().Sequential),
        ConfigError,
        "got the class Sequential",
    ),
    (
        "uncompiled model",
        lambda s: estimator(model_of(dense(), loss=None)),
        ConfigError,
        "loss: expected a compiled model or a loss",
    ),
    (
        "model without weights",
        lambda s: estimator(model_of(import_keras().layers.Flatten())).fit(rows(s)),
        TrainingError,
        "expected a model with trainable weights",
    ),
    (
        "open input",
        lambda s: estimator(model_of(import_keras().layers.LSTM(2), dense(), shape=(None, 3))),
        TrainingError,
        r"without open sides, got \(None, 3\)",
    ),
    (
        "architecture that is no JSON",
        lambda s: GlassesEstimator(keras_model_config="model", loss="mse"),
        ConfigError,
        "keras_model_config: expected the text that model.to_json",
    ),
    (
        "architecture of an unknown class",
        lambda s: GlassesEstimator(
            keras_model_config=tiny_model().to_json().replace('"Dense"', '"Dens"'), loss="mse"
        ).fit(rows(s)),
        TrainingError,
        "^Keras cannot build the model: ",
    ),
    (
        "weights of another model",
        lambda s: estimator().set_initial_weights([np.ones(2)]).fit(rows(s)),
        TrainingError,
        "^Keras cannot build the model: ValueError: .*set_weights",
    ),
    (
        "nb_classes forgotten",
        lambda s: classes(categorical=True).fit(rows(s)),
        TrainingError,
        "^nb_classes=10: expected a model with 10 outputs, .* got 3. Use nb_classes=3, or categ",
    ),
    (
        "nb_classes too small",
        lambda s: classes(categorical=True, nb_classes=2).fit(rows(s)),
        TrainingError,
        "^nb_classes=2: expected a model with 2 outputs",
    ),
    (
        "categorical with a sparse loss",
        lambda s: classes("sparse_categorical_crossentropy", categorical=True).fit(rows(s)),
        TrainingError,
        "this loss takes class numbers. Use categorical=False",
    ),
    (
        "class numbers without categorical",
        lambda s: classes().fit(rows(s)),
        TrainingError,
        "Use categorical=True with nb_classes",
    ),
    (
        "unknown loss",
        lambda s: estimator(loss="nonsense").fit(rows(s)),
        TrainingError,
        "^Keras cannot compute the losses and metrics: .*nonsense",
    ),
    (
        "loss that raises in the driver",
        lambda s: estimator(loss=lambda y, p: boom()).fit(rows(s)),
        TrainingError,
        "losses and metrics: RuntimeError: boom. Check",
    ),
    ("callbacks without a list", lambda s: estimator(callbacks=print), ConfigError, "a list of Ke"),
    (
        "callback of another kind",
        lambda s: estimator(callbacks=[print]),
        ConfigError,
        "callbacks: expected Keras callbacks, got <built-in function print>",
    ),
    (
        "callback that raises at the beginning",
        lambda s: estimator(callbacks=[callback("on_train_begin", KeyError("x"))]).fit(rows(s)),
        TrainingError,
        "^callback Mine.on_train_begin: KeyError: 'x'",
    ),
    (
        "object that cannot be pickled",
        lambda s: estimator(custom_objects={"lock": threading.Lock()}).fit(rows(s)),
        TrainingError,
        "^PicklingError: .*cannot pickle .*during the fit.*Check custom_objects",
    ),
    (
        "UDF that raises",
        lambda s: estimator().fit(with_label(s, fail_row)),
        TrainingError,
        r"^ValueError: no such label: 0.0, in fail_row \(failing_functions.py, line \d+\) \(during",
    ),
    (
        "function of batches that raises",
        lambda s: estimator().fit(rows(s).mapInPandas(fail_batches, rows(s).schema)),
        TrainingError,
        "^KeyError: 'colour', in fail_batches",
    ),
    (
        "function of batches with another type",
        lambda s: estimator().fit(rows(s).mapInPandas(wrong_type, rows(s).schema)),
        TrainingError,
        "^PySparkValueError: .*'label' to Arrow Array",
    ),
    (
        "UDF whose process is killed",
        lambda s: estimator().fit(with_label(s, kill_itself)),
        TrainingError,
        "^a Python worker was killed or crashed .*out of memory",
    ),
    (
        "division by zero in SQL",
        lambda s: estimator().fit(rows(s).withColumn("label", F.expr("label / 0"))),
        TrainingError,
        "^ArithmeticException: .DIVIDE_BY_ZERO. Division by zero",
    ),
    (
        "cast of a word in SQL",
        lambda s: estimator().fit(
            rows(s).withColumn("label", F.concat(F.lit("x"), "label").cast("double"))
        ),
        TrainingError,
        "^NumberFormatException: .CAST_INVALID_INPUT. The value 'x",
    ),
    (
        "evaluation of a UDF that raises",
        lambda s: evaluate(evaluated(with_label(s, fail_row))),
        ScoringError,
        "^ValueError: no such label: 0.0, in fail_row",
    ),
    (
        "scores of a UDF that raises",
        lambda s: collect_scores(evaluated(with_label(s, fail_row))),
        ScoringError,
        "^ValueError: no such label: 0.0, in fail_row",
    ),
    (
        "model selection with a UDF that raises",
        lambda s: CrossValidator(
            estimator=estimator(),
            estimatorParamMaps=[{}],
            evaluator=GlassesEvaluator(),
            numFolds=2,
        ).fit(with_label(s, fail_row)),
        TrainingError,
        "^ValueError: no such label: 0.0, in fail_row",
    ),
    (
        "checkpoints at an unknown kind of place",
        lambda s: estimator(checkpoint_dir="nofs://host/folder").fit(rows(s)),
        TrainingError,
        '^UnsupportedFileSystemException: No FileSystem for scheme "nofs"',
    ),
]

# Found by a worker.
IN_WORKERS: list[tuple[str, Case, str]] = [
    ("null", lambda s: estimator().fit(rows(s, None)), "DataError: features: .* got 1 nulls"),
    (
        "null inside",
        lambda s: estimator().fit(rows(s, [None] * FEATURES)),
        f"DataError: features: .* got {FEATURES} nulls",
    ),
    (
        "short",
        lambda s: estimator().fit(rows(s, (1, 2))),
        f"DataError: features: expected {FEATURES} numbers in every row, got 2",
    ),
    (
        "long vector",
        lambda s: estimator().fit(rows(s, Vectors.dense(range(9)), schema=["features", "label"])),
        f"DataError: features: expected {FEATURES} numbers in every row, got 9",
    ),
    (
        "NaN",
        lambda s: estimator().fit(rows(s, (float("nan"),) * FEATURES)),
        "training diverged.*check the features for values that are not finite",
    ),
    ("null label", lambda s: estimator().fit(rows(s, label=None)), "labels: .*got 1 nulls"),
    (
        "NaN label",
        lambda s: estimator().fit(rows(s, label=float("nan"))),
        "labels: expected finite numbers",
    ),
    (
        "class beyond the last",
        lambda s: classes(categorical=True, nb_classes=3).fit(rows(s, label=3.0)),
        r"labels: expected whole numbers from 0 to 2 .*, got 3$",
    ),
    (
        "class beyond the last of a sparse loss",
        lambda s: classes("sparse_categorical_crossentropy").fit(rows(s, label=3.0)),
        "InvalidArgumentError: Received a label value of 3 .* valid range of .0, 3.",
    ),
    (
        "negative weight",
        lambda s: estimator(weightCol="w").fit(rows(s).withColumn("w", F.lit(-1))),
        "weights: expected a finite number >= 0",
    ),
    (
        "loss that raises",
        lambda s: estimator(loss=bad_loss(boom)).fit(rows(s)),
        "^worker 0 on .*: RuntimeError: boom",
    ),
    (
        "loss without memory",
        lambda s: estimator(loss=bad_loss(memory)).fit(rows(s)),
        "^worker 0 on .*: MemoryError",
    ),
]


def check(case: Case, argument: Any, kind: type[GlassesSparkError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        case(argument)
    assert not [noise for noise in NOISE if noise in str(caught.value)]


@pytest.mark.parametrize(
    ("case", "kind", "message"), [pytest.param(*rest, id=name) for name, *rest in BEFORE]
)
def test_what_cannot_be_trained_is_one_line_with_the_cause_first(
    spark: SparkSession, case: Case, kind: type[GlassesSparkError], message: str
) -> None:
    check(case, spark, kind, message)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "message"), [pytest.param(*rest, id=name) for name, *rest in IN_WORKERS]
)
def test_what_a_worker_raises_is_one_line(spark: SparkSession, case: Case, message: str) -> None:
    check(case, spark, WorkerError, message)


@pytest.mark.slow
def test_a_callback_ends_the_fit_and_is_named(spark: SparkSession) -> None:
    failing = estimator(callbacks=[callback("on_epoch_end", KeyError("val_loss"))])
    check(
        failing.fit,
        rows(spark),
        TrainingError,
        "^callback Mine.on_epoch_end: KeyError: 'val_loss'. ",
    )


@pytest.mark.slow
def test_a_signal_of_a_callback_reaches_its_caller(spark: SparkSession) -> None:
    class PrunedError(Exception):
        """As Optuna's, to end a trial."""

    pruning = estimator(callbacks=[callback("on_epoch_end", PrunedError("not promising"))])
    with pytest.raises(PrunedError):
        pruning.fit(rows(spark))


@pytest.mark.slow
def test_a_layer_that_workers_cannot_import_is_named(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_layers.py").write_text(
        "import keras\nclass Twice(keras.layers.Layer):\n    def call(self, x): return 2 * x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    my_layers = import_module("my_layers")
    stage = estimator(model_of(my_layers.Twice(), dense()))
    (tmp_path / "my_layers.py").unlink()
    check(
        stage.fit,
        rows(spark),
        WorkerError,
        "ModuleNotFoundError: No module named 'my_layers' in Spark's Python workers .*addPyFile",
    )
    del sys.modules["my_layers"]


@pytest.mark.slow
def test_rows_whose_file_is_gone_are_named(spark: SparkSession, tmp_path: Path) -> None:
    rows(spark).write.parquet(str(tmp_path / "rows"))
    frame = spark.read.parquet(str(tmp_path / "rows"))
    for file in (tmp_path / "rows").glob("*.parquet"):
        file.unlink()
    check(
        estimator().fit,
        frame,
        TrainingError,
        r"^FileNotFoundException: File .* does not exist \(during the fit\).*read them again",
    )


def test_the_example_of_the_docs_shows_the_cause_and_keeps_the_error_of_spark(
    spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(compile(code, "docs/troubleshooting.md", "exec"), {"spark": spark})
    message, cause = capsys.readouterr().out.splitlines()[:2]
    assert message.startswith("ArithmeticException: [DIVIDE_BY_ZERO] Division by zero. ")
    assert cause.startswith("ArithmeticException(")


def test_the_workers_of_local_mode_have_the_python_of_the_driver(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What Spark takes from PYSPARK_PYTHON, or the first python3 on PATH.
    monkeypatch.setattr(spark.sparkContext, "pythonExec", "/nowhere/python3")
    frame = spark.range(8).selectExpr(
        f"array_repeat(id * 1D, {FEATURES}) features", "id % 2 * 1D label"
    )
    fitted = estimator().fit(frame)
    assert fitted.transform(frame).count() == 8
    assert fitted.transform(frame).first().prediction
    assert spark.sparkContext.pythonExec == "/nowhere/python3"
