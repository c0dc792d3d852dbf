"""Tests for glasses_spark.config.config."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from glasses_spark.config.config import Config
from glasses_spark.config.training import TrainingConfig
from glasses_spark.errors import ConfigError
from tests.config.messages import message_of
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
        (
            "training.early_stopping=3",
            "training.early_stopping: expected split.validation above 0 with it, because it uses "
            "the validation loss, got 0",
        ),
        (
            "evaluation.calibrate=true",
            "evaluation.calibrate: expected split.validation above 0 with it, because the "
            "temperature is fitted on validation images, got 0",
        ),
        ("trainig.epochs=3", "trainig: unknown section; did you mean training?"),
        ("spark=local", "--set spark=local: expected section.key=value"),
        ("training.epochs", "--set training.epochs: expected section.key=value"),
        ("training.epochs=3\nrun.seed=4", 'got "3\\nrun.seed=4"'),
    ],
)
def test_a_wrong_override_is_refused_with_key_and_expected_value(
    override: str, message: str
) -> None:
    assert message_of(override).endswith(message)


def test_one_error_is_one_line() -> None:
    assert message_of("training.epochs=0") == (
        "configuration: training.epochs: expected a whole number >= 1, got 0"
    )


def test_all_errors_of_file_and_overrides_are_in_one_message(tmp_path: Path) -> None:
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


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().training.epochs = 3  # type: ignore[misc]


def test_overrides_replace_the_file_and_later_ones_replace_earlier_ones(tmp_path: Path) -> None:
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
        ("training.cpu_kernels=auto", "training", "cpu_kernels", "auto"),
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


def test_spark_settings_have_full_names_in_every_spelling(tmp_path: Path) -> None:
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


def test_a_saved_run_describes_its_data_and_starts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    saved = Config.load(
        overrides=["data.images=theirs", "run.seed=4", "run.dir=there", "store.dir=there"]
    )
    path.write_text(saved.to_toml())

    config = Config.from_saved_run(path)

    assert (config.data.images, config.run.seed) == ("theirs", 4)
    assert (config.run.dir, config.store.dir) == ("runs/latest", "pixels")


@pytest.mark.parametrize("name", ["demo", "kaggle", "cluster"])
def test_the_configurations_of_the_project_are_valid(name: str) -> None:
    config = Config.load(ROOT / "configs" / f"{name}.toml")
    assert config.run.dir == f"runs/{name}"
    published = dataclasses.replace(config.training, num_workers="auto")
    assert published == TrainingConfig()
