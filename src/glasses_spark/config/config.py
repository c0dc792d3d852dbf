"""Configuration: every setting of a run, typed, checked and frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from glasses_spark import notebook_html as cells
from glasses_spark.config.data import DataConfig, ImageConfig, SplitConfig, StoreConfig
from glasses_spark.config.fields import (
    Key,
    spark_settings,
)
from glasses_spark.config.run import RunConfig, SparkConfig, TrackingConfig
from glasses_spark.config.section import Section, check_values, refuse, suggest
from glasses_spark.config.toml_text import parse_value, plain, read_toml, shown, toml_text
from glasses_spark.config.training import EvaluationConfig, ModelConfig, TrainingConfig
from glasses_spark.errors import ConfigError


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
        refuse(_contradictions(self.split, self.training, self.evaluation))

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
        table = {} if path is None else read_toml(Path(path))
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
        saved = read_toml(Path(path))
        table: dict[str, Any] = {name: saved[name] for name in _SAVED_SECTIONS if name in saved}
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
            if name not in SECTIONS:
                problems.append(f"{name}: unknown section{suggest(name, SECTIONS)}")
            elif not isinstance(given, Mapping):
                problems.append(f"{name}: expected a section of keys, got {shown(given)}")
            else:
                kept, found = check_values(SECTIONS[name], given)
                problems += found
                if not found:
                    try:
                        sections[name] = SECTIONS[name](**kept)
                    except ConfigError as error:
                        problems.append(str(error).removeprefix("configuration: "))
        refuse(problems)
        return cls(**sections)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the sections as dictionaries that ``from_dict`` takes back."""
        return {
            section: {one.name: plain(getattr(part, one.name)) for one in fields(part)}
            for section in SECTIONS
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
                    lines.append(f"{name} = {toml_text(value)}")
            blocks.append(lines)
            for name, inner in nested.items():
                if inner:
                    pairs = [
                        f"{toml_text(one)} = {toml_text(value)}" for one, value in inner.items()
                    ]
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
                keys.append([key, shown(value)])
                if value != default:
                    changed.append([key, shown(value), shown(default)])
        return cells.cell(
            "Configuration",
            cells.table(["key", "here", "published experiment"], changed, kind="text")
            if changed
            else cells.paragraph("As in the published experiment."),
            cells.folded(f"All {len(keys)} keys", cells.table(["key", "value"], keys, kind="text")),
        )


SECTIONS: Final[Mapping[str, type[Section]]] = {
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


def keys_of(cls: type[Section]) -> dict[str, tuple[Key, Any]]:
    """Return the keys of a section by name, each with its default."""
    defaults = cls()
    return {
        one.name: (one.metadata["key"], plain(getattr(defaults, one.name)))
        for one in fields(cls)  # type: ignore[arg-type]
    }


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
    parsed = parse_value(value.strip(), is_text=_is_text(section, rest))
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
    cls = SECTIONS.get(section)
    keys = keys_of(cls) if cls else {}
    return name in keys and keys[name][0].kind.is_text
