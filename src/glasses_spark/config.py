"""Configuration: every setting of a run, typed, checked and frozen."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from glasses_spark import cells
from glasses_spark.errors import ConfigError
from glasses_spark.keys import (
    Key,
    flag,
    key,
    matching,
    one_of,
    only,
    real,
    spark_settings,
    text,
    texts,
    whole,
    whole_or,
)

# Seeds reach NumPy, TensorFlow and Spark; this range is legal in all three.
_MAX_SEED: Final = 2**31 - 1

_OPTIMIZERS: Final = (
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "ftrl",
    "lion",
    "nadam",
    "rmsprop",
    "sgd",
)
# The Keras losses of classification that compare one probability with one label.
_LOSSES: Final = ("binary_crossentropy", "binary_focal_crossentropy")


class _Section:
    """What all sections share: they refuse bad values at construction, all at once."""

    def __post_init__(self) -> None:
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        kept, problems = _checked(type(self), values)
        _refuse(problems)
        for name, value in kept.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class DataConfig(_Section):
    """Which images and labels to read."""

    images: str = key(
        "faces",
        text("a folder, glob or URI"),
        "Folder, glob or URI of the PNG files; each has its number in its name.",
    )
    labels: str = key(
        "labels.csv",
        text("a path, URI or URL"),
        "Path, URI or http(s) URL of the CSV file with the columns `index` and `label`.",
    )
    labels_sha256: str = key(
        "",
        matching("[0-9a-fA-F]{64}", "64 hex digits"),
        "SHA-256 of the labels file, checked wherever it is read or fetched; empty takes any.",
    )
    labels_url: str = key(
        "",
        matching(r"https?://\S+", "an http(s) URL"),
        "Where `glasses-spark fetch` gets the labels file that it puts at `data.labels`.",
    )
    dataset: str = key(
        "",
        matching(r"[\w-]+/[\w-]+(/[1-9]\d*)?", "OWNER/NAME or OWNER/NAME/VERSION"),
        "Data set of Kaggle's whose images `glasses-spark fetch` puts into `data.images`.",
    )
    glob: str = key("*.png", text("a file name pattern"), "Which files of the folder are images.")
    on_bad: str = key(
        "quarantine",
        one_of("quarantine", "fail"),
        "What to do with an image that cannot be decoded: set it aside with its reason and go on, "
        "or stop.",
    )
    max_bad_fraction: float = key(
        0.01,
        real(lambda x: 0 <= x <= 1, "a number from 0 to 1"),
        "Stop when more than this part of the images cannot be decoded.",
        unit="fraction of the images",
    )
    limit: int = key(
        0,
        # One image of each label is the least that can be learned from.
        whole_or(0, 2),
        "Use only this many images, chosen with the seed, for a quick try; 0 uses all.",
        unit="images",
    )


@dataclass(frozen=True)
class ImageConfig(_Section):
    """The size to which every image is brought."""

    # 16 is the least that the CNN's pooling layers leave something of.
    height: int = key(128, whole(16, 1024), "Height of the model's input.", unit="pixels")
    width: int = key(128, whole(16, 1024), "Width of the model's input.", unit="pixels")


@dataclass(frozen=True)
class SplitConfig(_Section):
    """Which part of the images trains and which part is held back."""

    test: float = key(
        0.2,
        real(lambda x: 0 < x < 1, "a number between 0 and 1, both excluded"),
        "Part that is held back for the test.",
        unit="fraction of the images",
    )
    validation: float = key(
        0.0,
        real(lambda x: 0 <= x < 1, "a number from 0 to 1, 1 excluded"),
        "Part that is held back from the training: for `val_loss` and `val_accuracy` after each "
        "epoch, for the choice of thresholds and for `evaluation.calibrate`; 0 holds none back.",
        unit="fraction of the images",
    )
    near_duplicates: str = key(
        "together",
        one_of("together", "ignore"),
        "Whether images that are nearly the same are kept in one part, so that the test holds no "
        "copy of what was trained on; or every image is placed by its own number.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test + self.validation >= 1:
            _refuse(
                [
                    "split.test and split.validation: expected a sum below 1, so that something "
                    f"is left to train on, got {self.test} and {self.validation}"
                ]
            )


@dataclass(frozen=True)
class ModelConfig(_Section):
    """Which model to train."""

    name: str = key(
        "cnn",
        one_of("cnn", note="the only model by name"),
        "The convolutional network of the published experiment: 434,465 parameters at 128 x 128. "
        "Other models: `build_model` and `build_estimator` from Python.",
    )


@dataclass(frozen=True)
class TrainingConfig(_Section):
    """How the model is trained."""

    epochs: int = key(10, whole(1), "Passes over the training images.", unit="epochs")
    batch_size: int = key(
        128, whole(1), "Images in one step of one worker.", unit="images per step and worker"
    )
    num_workers: int | str = key(
        "auto", whole_or("auto", 1), 'Training tasks; "auto" takes one for each task slot of Spark.'
    )
    mode: str = key(
        "asynchronous",
        one_of("synchronous", "asynchronous", "hogwild"),
        "How the workers share weights: averaged together at each update, applied as each comes "
        "under a lock, or without the lock.",
    )
    frequency: str = key(
        "batch",
        one_of("batch", "epoch"),
        "How often a worker exchanges weights with the parameter server.",
    )
    optimizer: str = key("adam", one_of(*_OPTIMIZERS), "Keras optimizer, by name.")
    learning_rate: float = key(
        0.0,
        real(lambda x: x >= 0, "a number >= 0"),
        "Learning rate of the optimizer; 0 keeps the one that Keras gives it.",
    )
    loss: str = key("binary_crossentropy", one_of(*_LOSSES), "Keras loss, by name.")
    metrics: tuple[str, ...] = key(
        ("accuracy",),
        texts('a list of names of Keras metrics, such as ["accuracy"]'),
        "Keras metrics that are followed during the fit.",
    )
    precision: str = key(
        "float32",
        one_of("float32", "bfloat16", "auto"),
        "Number format in which the workers compute; weights are float32 in any. bfloat16 is "
        "faster on processors that have it; auto takes it where all of them do.",
    )
    staleness_aware: bool = key(
        True,
        flag(),
        "Whether asynchronous and hogwild updates count for less the more others came before "
        "them; false applies each whole, as Elephas does.",
    )
    class_weight: str = key(
        "none",
        one_of("none", "balanced"),
        "Weight of a row in the loss: the same for all, or such that both labels count alike.",
    )
    early_stopping: int = key(
        0,
        whole(0),
        "Stop when the validation loss has not fallen for so many epochs, and keep the best "
        "weights; 0 never stops. Needs split.validation.",
        unit="epochs",
    )
    reduce_learning_rate: int = key(
        0,
        whole(0),
        "Halve the learning rate when the validation loss has not fallen for so many epochs; 0 "
        "leaves it. Needs split.validation.",
        unit="epochs",
    )
    port: int = key(
        0,
        whole(0, 65535),
        "Port of the parameter server in the driver, which the workers must reach; 0 takes a "
        "free one.",
    )
    stall_timeout: float = key(
        # Long enough for a busy machine to miss a few signs of life.
        120.0,
        real(lambda x: x > 0, "a number > 0"),
        "Silence after which a worker counts as lost, and the fit fails.",
        unit="seconds",
    )


@dataclass(frozen=True)
class EvaluationConfig(_Section):
    """How predictions are judged."""

    threshold: float = key(
        0.5,
        real(lambda x: 0 <= x <= 1, "a number from 0 to 1"),
        "Probability of glasses from which the predicted label is 1.",
        unit="probability",
    )
    cost_false_positive: float = key(
        1.0,
        real(lambda x: x >= 0, "a number >= 0"),
        "What it costs to take an image without glasses for one with; with `split.validation`, "
        "`metrics.json` tells the threshold of the least cost.",
        unit="any, the same for both costs",
    )
    cost_false_negative: float = key(
        1.0,
        real(lambda x: x >= 0, "a number >= 0"),
        "What it costs to miss glasses.",
        unit="any, the same for both costs",
    )
    calibrate: bool = key(
        False,
        flag(),
        "Whether the model's logits are divided by a temperature, fitted on the validation "
        "images, so that its probabilities come true more nearly. Needs split.validation.",
    )
    folds: int = key(
        # Of the usual 5 and 10 the one that takes half the time.
        5,
        whole(2, 100),
        "Parts of a cross-validation: as many fits, each judged on the part that it has not seen.",
        unit="folds",
    )


@dataclass(frozen=True)
class SparkConfig(_Section):
    """The Spark that does the work."""

    master: str = key(
        "",
        text(
            "a Spark master such as local[4] or spark://host:7077, or an empty text",
            may_be_empty=True,
        ),
        "Master URL. Empty leaves it to `spark-submit`; without one, all cores of this machine "
        "(`local[*]`).",
    )
    ui: bool = key(False, flag(), "Whether Spark serves its web page while it runs.")
    conf: Mapping[str, str] = key(
        {}, spark_settings(), "Any further settings of Spark, by their full names."
    )


@dataclass(frozen=True)
class RunConfig(_Section):
    """One run and where its results go."""

    dir: str = key(
        "runs/latest",
        text("a folder or URI"),
        "Folder or URI for the results; a path is of the driver's machine. Those of an earlier run "
        "are replaced when this one has succeeded.",
    )
    seed: int = key(
        0, whole(0, _MAX_SEED), "Seed from which everything random in the run is derived."
    )
    plots: bool = key(
        False,
        flag(),
        "Whether the plots of `report.html` are written as PNG and SVG files, too, into `plots` of "
        "the run folder.",
    )
    resume: bool = key(
        False,
        only(False, "false (resuming a run is not there yet)"),
        "Go on with an interrupted run.",
    )


@dataclass(frozen=True)
class StoreConfig(_Section):
    """Where decoded pixels are kept between runs."""

    dir: str = key(
        "pixels",
        text("a folder or URI, or an empty text", may_be_empty=True),
        "Folder or URI of the pixel store, in which decoded images are kept for later runs; empty "
        "keeps none. A path is of this machine in local mode, and of Spark's default file system "
        "on a cluster.",
    )


@dataclass(frozen=True)
class TrackingConfig(_Section):
    """Where else a finished run is recorded; a failure there is a warning and loses nothing."""

    mlflow: bool = key(
        False,
        flag(),
        "Whether the run goes to MLflow: parameters, metrics, files and model. Needs the extra "
        "`mlflow`.",
    )
    uri: str = key(
        "",
        text("a tracking URI of MLflow, a folder, or an empty text", may_be_empty=True),
        "Where MLflow keeps it. Empty takes the environment variable MLFLOW_TRACKING_URI, else "
        "the folder `mlruns`. User and password belong in MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD.",
    )
    experiment: str = key("glasses-spark", text(), "MLflow's experiment, made where missing.")
    tensorboard: bool = key(
        False,
        flag(),
        "Whether the figures of each epoch are written for TensorBoard, to `tensorboard` in "
        "run.dir.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if "@" in self.uri.partition("://")[2].partition("/")[0]:
            # Without the value, which would put the password on the screen and in logs.
            _refuse(
                [
                    "tracking.uri: expected no user and password in it; set the environment "
                    "variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                    "MLFLOW_TRACKING_URI, for them"
                ]
            )


@dataclass(frozen=True)
class Config:
    """Every setting of a run.

    The defaults are those of the published experiment. ``docs/configuration.md``
    lists all keys with type, range, unit and default. Paths are relative to the
    current folder, also where they stand in a file.
    """

    data: DataConfig = field(default_factory=DataConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    spark: SparkConfig = field(default_factory=SparkConfig)
    run: RunConfig = field(default_factory=RunConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)

    def __post_init__(self) -> None:
        _refuse(_contradictions(self.split, self.training, self.evaluation))

    @classmethod
    def load(cls, path: str | Path | None = None, overrides: Sequence[str] = ()) -> Config:
        """Read a TOML file, then apply overrides to it.

        Args:
            path: TOML file; None starts from the defaults.
            overrides: Texts ``section.key=value``, later ones winning. The value
                is TOML (``0.1``, ``true``, ``["accuracy"]``); anything that is
                not is taken as a text.

        Returns:
            The checked configuration.

        Raises:
            ConfigError: The file cannot be read, or keys or values are wrong;
                the message lists all that are.
        """
        table = {} if path is None else _read_toml(Path(path))
        problems = [problem for one in overrides if (problem := _override(table, one)) is not None]
        return cls._build(table, problems)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Config:
        """Build a configuration from sections of keys; missing ones take their defaults.

        Raises:
            ConfigError: Keys or values are wrong; the message lists all that are.
        """
        return cls._build(table, [])

    @classmethod
    def from_saved_run(cls, path: str | Path) -> Config:
        """Read what describes the data and the model in the configuration of a saved run.

        A run folder may come from a stranger. Sections that could start a program, contact a
        host or write anywhere (``spark``, ``store``, ``tracking``, ``run.dir``) are not read:
        they have their defaults.

        Args:
            path: ``config.toml`` of the run folder.

        Returns:
            The sections ``data``, ``image``, ``split`` and ``evaluation`` and the key
            ``run.seed`` of the run; everything else by default.

        Raises:
            ConfigError: The file cannot be read, or one of these keys is wrong.
        """
        saved = _read_toml(Path(path))
        table = {name: saved[name] for name in _SAVED_SECTIONS if name in saved}
        run = saved.get("run", {})
        if isinstance(run, Mapping) and "seed" in run:
            table["run"] = {"seed": run["seed"]}
        return cls._build(table, [])

    def override(self, overrides: Sequence[str]) -> Config:
        """Return a copy with overrides ``section.key=value`` applied, as ``load`` applies them.

        Raises:
            ConfigError: Keys or values are wrong; the message lists all that are.
        """
        table: dict[str, Any] = self.to_dict()
        problems = [problem for one in overrides if (problem := _override(table, one)) is not None]
        return self._build(table, problems)

    @classmethod
    def _build(cls, table: Mapping[str, Any], problems: list[str]) -> Config:
        sections: dict[str, Any] = {}
        for name, given in table.items():
            if name not in _SECTIONS:
                problems.append(f"{name}: unknown section{_suggest(name, _SECTIONS)}")
            elif not isinstance(given, Mapping):
                problems.append(f"{name}: expected a section of keys, got {_shown(given)}")
            else:
                kept, found = _checked(_SECTIONS[name], given)
                problems += found
                if not found:
                    try:
                        sections[name] = _SECTIONS[name](**kept)
                    except ConfigError as error:
                        problems.append(str(error).removeprefix("configuration: "))
        _refuse(problems)
        return cls(**sections)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the sections as dictionaries that ``from_dict`` takes back."""
        return {
            section: {one.name: _plain(getattr(part, one.name)) for one in fields(part)}
            for section in _SECTIONS
            for part in [getattr(self, section)]
        }

    def to_toml(self) -> str:
        """Return a TOML document that ``load`` reads back to an equal configuration."""
        blocks = []
        for section, table in self.to_dict().items():
            lines = [f"[{section}]"]
            nested = {}
            for name, value in table.items():
                if isinstance(value, dict):
                    nested[name] = value
                else:
                    lines.append(f"{name} = {_toml(value)}")
            blocks.append(lines)
            for name, inner in nested.items():
                if inner:
                    pairs = [f"{_toml(one)} = {_toml(value)}" for one, value in inner.items()]
                    blocks.append([f"[{section}.{name}]", *pairs])
        return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"

    def _repr_html_(self) -> str:
        published = Config().to_dict()
        keys: list[list[str]] = []
        changed: list[list[str]] = []
        for section, values in self.to_dict().items():
            for name, value in values.items():
                key, default = f"{section}.{name}", published[section][name]
                if isinstance(value, dict):
                    value = {one: cells.setting(one, inner) for one, inner in value.items()}
                keys.append([key, _shown(value)])
                if value != default:
                    changed.append([key, _shown(value), _shown(default)])
        return cells.cell(
            "Configuration",
            cells.table(["key", "here", "published experiment"], changed, kind="text")
            if changed
            else cells.paragraph("As in the published experiment."),
            cells.folded(f"All {len(keys)} keys", cells.table(["key", "value"], keys, kind="text")),
        )


_SECTIONS: Final[Mapping[str, type[_Section]]] = {
    "data": DataConfig,
    "image": ImageConfig,
    "split": SplitConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "evaluation": EvaluationConfig,
    "spark": SparkConfig,
    "run": RunConfig,
    "store": StoreConfig,
    "tracking": TrackingConfig,
}

# What is taken from the configuration of a saved run; see Config.from_saved_run.
_SAVED_SECTIONS: Final = ("data", "image", "split", "evaluation")


def reference() -> str:
    """Return the reference of all keys as Markdown: the text of docs/configuration.md."""
    parts = [_REFERENCE_HEAD]
    for section, cls in _SECTIONS.items():
        rows = [
            f"| `{section}.{name}` | {one.kind.wanted} | {one.unit or '-'} "
            f"| `{_toml(default)}` | {one.meaning} |"
            for name, (one, default) in _keys(cls).items()
        ]
        head = f"## {section}\n\n{cls.__doc__}\n\n"
        parts.append(
            head
            + "| Key | Value | Unit | Default | Meaning |\n| --- | --- | --- | --- | --- |\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(parts)


_REFERENCE_HEAD: Final = """\
# Configuration

Written from the source by `glasses_spark.config.reference`; a test checks that it is up to date.

A configuration is a TOML file, given with `--config FILE`, in which every key may be left out:

    [data]
    images = "faces"

    [training]
    epochs = 10

`--set section.key=value`, as often as needed, wins over the file. The value is TOML; a bare word
is taken as a text: `--set training.mode=hogwild --set 'training.metrics=["accuracy"]'`. Settings of
Spark go by their full names: `--set spark.conf.spark.executor.memory=4g`.

Unknown keys and bad values are refused before any work starts, all of them in one message.
Relative paths, in a file too, are relative to the current folder. The defaults are the settings of
the published experiment.
"""


def _keys(cls: type[_Section]) -> dict[str, tuple[Key, Any]]:
    """Return the keys of a section by name, each with its default."""
    defaults = cls()
    return {
        one.name: (one.metadata["key"], _plain(getattr(defaults, one.name)))
        for one in fields(cls)  # type: ignore[arg-type]
    }


def _section_name(cls: type[_Section]) -> str:
    return cls.__name__.removesuffix("Config").lower()


def _checked(cls: type[_Section], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return what to keep of the given values, and what is wrong with the others."""
    keys = {one.name: one.metadata["key"] for one in fields(cls)}  # type: ignore[arg-type]
    section = _section_name(cls)
    kept, problems = {}, []
    for name, value in given.items():
        if name not in keys:
            problems.append(f"{section}.{name}: unknown key{_suggest(name, keys)}")
            continue
        try:
            kept[name] = keys[name].kind.parse(value)
        except ValueError:
            problems.append(
                f"{section}.{name}: expected {keys[name].kind.wanted}, got {_shown(value)}"
            )
    return kept, problems


def _refuse(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise ConfigError(f"configuration: {problems[0]}")
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ConfigError(f"configuration has {len(problems)} errors:{lines}")


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(known)}"


def _contradictions(
    split: SplitConfig, training: TrainingConfig, evaluation: EvaluationConfig
) -> list[str]:
    """Tell of keys that are right alone, and not together."""
    if split.validation:
        return []
    calibration = [
        "evaluation.calibrate: expected split.validation above 0 with it, as the temperature is "
        "fitted on validation images, got 0"
    ]
    return (calibration if evaluation.calibrate else []) + [
        f"training.{name}: expected split.validation above 0 with it, as it looks at the "
        "validation loss, got 0"
        for name in ("early_stopping", "reduce_learning_rate")
        if getattr(training, name)
    ]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"no configuration file {path}; expected the path of a TOML file"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def _override(table: dict[str, Any], given: str) -> str | None:
    """Put one ``section.key=value`` into the table; return what is wrong with it, if anything."""
    name, equals, value = given.partition("=")
    section, dot, rest = name.strip().partition(".")
    if not (equals and dot and section and rest):
        return f"--set {given}: expected section.key=value"
    # Only a table has dots within its key: the names of Spark's settings.
    inner = ""
    if section == "spark" and rest.startswith("conf."):
        rest, inner = "conf", rest.removeprefix("conf.")
    place = table.setdefault(section, {})
    if not isinstance(place, dict):
        return None  # reported with the section itself
    parsed = _parse_value(value.strip(), is_text=_is_text(section, rest))
    if not inner:
        place[rest] = parsed
        return None
    settings = place.setdefault(rest, {})
    if isinstance(settings, dict):
        try:
            # Flattened, so that the override wins over a nested spelling in the file.
            settings = spark_settings().parse(settings)
        except ValueError:
            return None  # reported with the key itself
        place[rest] = {**settings, inner: parsed}  # type: ignore[dict-item]
    return None


def _is_text(section: str, name: str) -> bool:
    cls = _SECTIONS.get(section)
    keys = _keys(cls) if cls else {}
    return name in keys and keys[name][0].kind.is_text


def _parse_value(value: str, *, is_text: bool) -> Any:
    try:
        document = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return value
    parsed = document["value"]
    if len(document) > 1 or (is_text and not isinstance(parsed, str)):
        return value
    return parsed


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _toml(value: Any) -> str:
    if isinstance(value, str):
        # A JSON text is a TOML text, but for the one control character that JSON leaves bare.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    if isinstance(value, dict):
        return "{}"
    return repr(value)


def _shown(value: Any) -> str:
    """Return a value as it would stand in a TOML file, or as Python shows it."""
    return _toml(value) if isinstance(value, str | bool | int | float | list) else repr(value)
