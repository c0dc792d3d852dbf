"""Tests for glasses_spark.config.config and glasses_spark.config.fields."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from glasses_spark.config.config import Config
from glasses_spark.config.data import SplitConfig
from glasses_spark.config.reference import reference
from glasses_spark.config.training import LOSSES, OPTIMIZERS, TrainingConfig
from glasses_spark.errors import ConfigError
from tests.paths import ROOT


def test_the_defaults_are_those_of_the_published_experiment() -> None:
    config = Config()

    assert (config.image.height, config.image.width) == (128, 128)
    assert config.split.test == 0.2
    assert config.training.batch_size == 128
    assert config.training.epochs == 10
    assert config.training.optimizer == "adam"
    assert config.training.loss == "binary_crossentropy"
    assert config.training.mode == "asynchronous"
    assert config.training.frequency == "batch"
    assert config.training.num_workers == "auto"
    assert config.evaluation.threshold == 0.5
    assert config.run.seed == 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.batch_size=0", "training.batch_size: expected a whole number >= 1, got 0"),
        ("training.epochs=2.5", "training.epochs: expected a whole number >= 1, got 2.5"),
        ("training.epochs=true", "training.epochs: expected a whole number >= 1, got true"),
        (
            "training.num_workers=all",
            'training.num_workers: expected a whole number >= 1, or "auto", got "all"',
        ),
        (
            "training.mode=sync",
            'training.mode: expected one of "synchronous", "asynchronous", "hogwild", got "sync"',
        ),
        (
            "training.precision=mixed_bfloat16",
            'training.precision: expected one of "float32", "bfloat16", "auto", '
            'got "mixed_bfloat16"',
        ),
        (
            "training.metrics=accuracy",
            'training.metrics: expected a list of names of Keras metrics, such as ["accuracy"], '
            'got "accuracy"',
        ),
        ("split.test=1", "split.test: expected a number between 0 and 1, both excluded, got 1"),
        ("split.test=nan", "split.test: expected a number between 0 and 1, both excluded, got nan"),
        ("evaluation.threshold=50", "evaluation.threshold: expected a number from 0 to 1, got 50"),
        ("data.limit=1", "data.limit: expected a whole number >= 2, or 0, got 1"),
        (
            "split.validation=0.8",
            "split.test and split.validation: expected a sum below 1, so that something is left "
            "to train on, got 0.2 and 0.8",
        ),
        (
            "run.dir=",
            'run.dir: expected a folder or URI, got ""',
        ),
        ("data.images=", 'data.images: expected a folder, glob or URI, got ""'),
        ("image.height=8", "image.height: expected a whole number from 16 to 1024, got 8"),
        (
            "run.resume=true",
            "run.resume: expected false (resuming a run is not there yet), got true",
        ),
        (
            "training.early_stopping=3",
            "training.early_stopping: expected split.validation above 0 with it, as it looks at "
            "the validation loss, got 0",
        ),
        (
            "evaluation.calibrate=true",
            "evaluation.calibrate: expected split.validation above 0 with it, as the temperature "
            "is fitted on validation images, got 0",
        ),
        (
            "evaluation.cost_false_negative=-1",
            "evaluation.cost_false_negative: expected a number >= 0, got -1",
        ),
        (
            "training.port=70000",
            "training.port: expected a whole number from 0 to 65535, got 70000",
        ),
        (
            "tracking.uri=https://me:hunter2@host/mlflow",
            "tracking.uri: expected no user and password in it; set the environment variables "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI, for "
            "them",
        ),
        ("training.batchsize=3", "training.batchsize: unknown key; did you mean batch_size?"),
        ("trainig.epochs=3", "trainig: unknown section; did you mean training?"),
        ("image.channels=3", "image.channels: unknown key; known here: height, width"),
        ("spark=local", "--set spark=local: expected section.key=value"),
        ("training.epochs", "--set training.epochs: expected section.key=value"),
        ("training.epochs=3\nrun.seed=4", 'got "3\\nrun.seed=4"'),
        (
            "spark.conf.executor.memory=4g",
            'spark.conf: expected a table of Spark settings whose names start with "spark.", '
            "each a text, a number, true or false, got {'executor.memory': '4g'}",
        ),
    ],
)
def test_a_wrong_override_is_refused_with_key_found_and_wanted(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.load(overrides=[override])
    assert str(caught.value).endswith(message)


def test_one_error_is_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.load(overrides=["training.epochs=0"])
    assert str(caught.value) == (
        "configuration: training.epochs: expected a whole number >= 1, got 0"
    )


def test_all_errors_of_file_and_overrides_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("image = 3\n[training]\nepochs = -1\nbatch = 5\n[split]\ntest = 'half'\n")

    with pytest.raises(ConfigError) as caught:
        Config.load(path, ["training.batch_size=0", "seed=3"])

    assert str(caught.value).splitlines() == [
        "configuration has 6 errors:",
        "  --set seed=3: expected section.key=value",
        "  image: expected a section of keys, got 3",
        "  training.epochs: expected a whole number >= 1, got -1",
        "  training.batch: unknown key; did you mean batch_size?",
        "  training.batch_size: expected a whole number >= 1, got 0",
        '  split.test: expected a number between 0 and 1, both excluded, got "half"',
    ]


def test_sections_built_in_python_are_checked_too() -> None:
    with pytest.raises(ConfigError, match="configuration has 2 errors") as caught:
        TrainingConfig(epochs=0, mode="never")
    assert "training.epochs" in str(caught.value)
    assert "training.mode" in str(caught.value)
    with pytest.raises(ConfigError, match=r"split\.test"):
        dataclasses.replace(SplitConfig(), test=0.0)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().training.epochs = 3  # type: ignore[misc]


def test_overrides_win_over_the_file_and_later_ones_over_earlier(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text("[training]\nepochs = 3\nbatch_size = 7\n")

    config = Config.load(path, ["training.epochs=4", "training.epochs=5"])

    assert (config.training.epochs, config.training.batch_size) == (5, 7)


@pytest.mark.parametrize(
    ("override", "section", "name", "value"),
    [
        ("training.mode=hogwild", "training", "mode", "hogwild"),
        ('training.mode="hogwild"', "training", "mode", "hogwild"),
        ("training.num_workers=auto", "training", "num_workers", "auto"),
        ("training.num_workers=3", "training", "num_workers", 3),
        ('training.metrics=["accuracy", "AUC"]', "training", "metrics", ("accuracy", "AUC")),
        ("training.learning_rate=1e-4", "training", "learning_rate", 1e-4),
        ("data.images=2020", "data", "images", "2020"),
        ("data.images=/a b/c=d", "data", "images", "/a b/c=d"),
        ("data.labels=https://host/labels.csv#x", "data", "labels", "https://host/labels.csv#x"),
        ("spark.ui=true", "spark", "ui", True),
        ("spark.master=local[3]", "spark", "master", "local[3]"),
    ],
)
def test_override_values_are_toml_or_bare_words(
    override: str, section: str, name: str, value: object
) -> None:
    config = Config.load(overrides=[override])
    assert getattr(getattr(config, section), name) == value


def test_spark_settings_go_by_full_name_however_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "spark.toml"
    path.write_text(
        '[spark.conf]\n"spark.a.b" = "quoted"\nspark.c = 4\nspark.executor.memory = "1g"\n'
        "spark.on = true\n"
    )

    config = Config.load(path, ["spark.conf.spark.executor.memory=4g", "spark.conf.spark.d=0.5"])

    assert config.spark.conf == {
        "spark.a.b": "quoted",
        "spark.c": "4",
        "spark.executor.memory": "4g",
        "spark.on": "true",
        "spark.d": "0.5",
    }


def test_toml_is_read_back_to_an_equal_configuration(tmp_path: Path) -> None:
    config = Config.load(
        overrides=[
            'data.images=C:\\faces "new"\x7f é \U0001f600',
            "training.learning_rate=1e-7",
            'training.metrics=["accuracy", "AUC"]',
            "spark.ui=true",
            "spark.conf.spark.executor.memory=4g",
        ]
    )
    path = tmp_path / "copy.toml"
    path.write_text(config.to_toml(), encoding="utf-8")

    assert Config.load(path) == config
    assert Config.from_dict(config.to_dict()) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(Config.load(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no configuration file .*my\.toml; expected the path of a TOML file"),
        (b"[data\n", r"my\.toml is not a TOML file: .*line 1"),
        (b"\xff\xfe", r"my\.toml is not a TOML file: .*utf-8"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Config.load(path)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*: Is a directory"):
        Config.load(tmp_path)


@pytest.mark.parametrize("name", ["demo", "kaggle", "cluster"])
def test_the_configurations_that_come_with_the_project_are_valid(name: str) -> None:
    config = Config.load(ROOT / "configs" / f"{name}.toml")
    assert config.run.dir == f"runs/{name}"
    published = dataclasses.replace(config.training, num_workers="auto")
    assert published == TrainingConfig()


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == reference(), (
        "write it anew: python -c 'from glasses_spark.config import reference; "
        'print(reference(), end="")\' > docs/configuration.md'
    )


def test_every_key_stands_in_the_reference_with_value_default_and_meaning() -> None:
    lines = reference().splitlines()
    for section, table in Config().to_dict().items():
        for name in table:
            rows = [line for line in lines if line.startswith(f"| `{section}.{name}` |")]
            assert len(rows) == 1
            cells = [cell.strip() for cell in rows[0].strip("|").split(" | ")]
            assert len(cells) == 5
            assert all(cells)


@pytest.mark.slow
def test_keras_knows_every_optimizer_and_loss_that_the_configuration_takes() -> None:
    import keras  # slow to import

    for name in OPTIMIZERS:
        assert type(keras.optimizers.get(name)).__name__.lower() == name
    for name in LOSSES:
        assert callable(keras.losses.get(name))
