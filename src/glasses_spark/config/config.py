"""Configuration of a run: typed, checked and frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from glasses_spark.config.data import DataConfig, ImageConfig, SplitConfig, StoreConfig
from glasses_spark.config.fields import Key, spark_settings
from glasses_spark.config.run import RunConfig, SparkConfig, TrackingConfig
from glasses_spark.config.section import (
    Section,
    check_values,
    declared_keys,
    refuse,
    suggest,
)
from glasses_spark.config.toml_text import parse_value, plain, read_toml, shown, toml_text
from glasses_spark.config.training import EvaluationConfig, ModelConfig, TrainingConfig
from glasses_spark.errors import ConfigError
from glasses_spark.notebook_html import cell, folded, is_secret, paragraph, setting, table

# User and password of an address. A user alone may be a container of a store.
_LOGIN: Final = re.compile(r"(?<=://)[^/\s?#@:]*:[^/\s?#]*@")


@dataclass(frozen=True)
class Config:
    """All settings of a run.

    The defaults are those of the published experiment. ``docs/configuration.md``
    lists all keys with type, range, unit and default. Relative paths are relative to
    the current folder, also in a file.
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
            overrides: Strings ``section.key=value``; the last one of a key is used. The
                value is TOML (``0.1``, ``true``, ``["accuracy"]``); anything else is
                taken as a string.

        Returns:
            The checked configuration.

        Raises:
            ConfigError: The file cannot be read, or keys or values are wrong; the
                message lists all of them.
        """
        return cls._build({} if path is None else read_toml(Path(path)), overrides)

    @classmethod
    def from_dict(cls, sections: Mapping[str, Any]) -> Config:
        """Build a configuration from sections of keys; missing keys take their defaults.

        Raises:
            ConfigError: Keys or values are wrong; the message lists all of them.
        """
        return cls._build(sections)

    @classmethod
    def from_saved_run(cls, path: str | Path) -> Config:
        """Read the part of a saved run's configuration that describes its data.

        A run folder may come from an untrusted source. Sections that could start a
        program, contact a host or write anywhere (``spark``, ``store``, ``tracking``,
        ``run.dir``) are not read and take their defaults.

        Args:
            path: ``config.toml`` of the run folder.

        Returns:
            The sections ``data``, ``image``, ``split`` and ``evaluation`` and the key
            ``run.seed`` of the run; defaults for everything else.

        Raises:
            ConfigError: The file cannot be read, or one of these keys is wrong.
        """
        saved = read_toml(Path(path))
        sections: dict[str, Any] = {name: saved[name] for name in _SAVED_SECTIONS if name in saved}
        run = saved.get("run", {})
        if isinstance(run, Mapping) and "seed" in run:
            sections["run"] = {"seed": run["seed"]}
        return cls._build(sections)

    def override(self, overrides: Sequence[str]) -> Config:
        """Return a copy with overrides ``section.key=value`` applied, as ``load`` applies them.

        Raises:
            ConfigError: Keys or values are wrong; the message lists all of them.
        """
        return self._build(self.to_dict(), overrides)

    @classmethod
    def _build(cls, sections: Mapping[str, Any], overrides: Sequence[str] = ()) -> Config:
        sections = dict(sections)
        problems = [problem for item in overrides if (problem := _override(sections, item))]
        built: dict[str, Any] = {}
        for name, values in sections.items():
            if name not in SECTIONS:
                problems.append(f"{name}: unknown section{suggest(name, SECTIONS)}")
            elif not isinstance(values, Mapping):
                problems.append(f"{name}: expected a section of keys, got {shown(values)}")
            else:
                accepted, wrong = check_values(SECTIONS[name], values)
                problems += wrong
                if not wrong:
                    try:
                        built[name] = SECTIONS[name](**accepted)
                    except ConfigError as error:
                        problems.append(str(error).removeprefix("configuration: "))
        refuse(problems)
        return cls(**built)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the sections as dictionaries that ``from_dict`` accepts."""
        return {
            name: {key: plain(getattr(getattr(self, name), key)) for key in declared_keys(section)}
            for name, section in SECTIONS.items()
        }

    def without_secrets(self) -> Config:
        """Return a copy for a file that others may read.

        Spark settings whose names say that they are secret are left out, and users with a
        password in addresses.
        """
        sections = self.to_dict()
        conf = sections["spark"]["conf"]
        sections["spark"]["conf"] = {name: conf[name] for name in conf if not is_secret(name)}
        for values in sections.values():
            values.update(
                {
                    name: _LOGIN.sub("", value)
                    for name, value in values.items()
                    if isinstance(value, str)
                }
            )
        return self.from_dict(sections)

    def to_toml(self) -> str:
        """Return a TOML document that ``load`` reads back to an equal configuration."""
        blocks = []
        for section, values in self.to_dict().items():
            tables = {name: value for name, value in values.items() if isinstance(value, dict)}
            lines = [
                f"{name} = {toml_text(value)}"
                for name, value in values.items()
                if name not in tables
            ]
            blocks.append([f"[{section}]", *lines])
            for name, entries in tables.items():
                lines = [f"{toml_text(key)} = {toml_text(entry)}" for key, entry in entries.items()]
                if lines:
                    blocks.append([f"[{section}.{name}]", *lines])
        return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"

    def _repr_html_(self) -> str:
        published = Config().to_dict()
        keys: list[list[str]] = []
        changed: list[list[str]] = []
        for section, values in self.to_dict().items():
            for name, value in values.items():
                key, default = f"{section}.{name}", published[section][name]
                if isinstance(value, dict):
                    value = {entry: setting(entry, inner) for entry, inner in value.items()}
                keys.append([key, shown(value)])
                if value != default:
                    changed.append([key, shown(value), shown(default)])
        return cell(
            "Configuration",
            table(["key", "here", "published experiment"], changed, kind="text")
            if changed
            else paragraph("As in the published experiment."),
            folded(f"All {len(keys)} keys", table(["key", "value"], keys, kind="text")),
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

# Sections that Config.from_saved_run reads.
_SAVED_SECTIONS: Final = ("data", "image", "split", "evaluation")


def keys_of(cls: type[Section]) -> dict[str, tuple[Key, Any]]:
    """Return the keys of a section by name, each with its default."""
    defaults = cls()
    return {name: (key, plain(getattr(defaults, name))) for name, key in declared_keys(cls).items()}


def _contradictions(
    split: SplitConfig, training: TrainingConfig, evaluation: EvaluationConfig
) -> list[str]:
    """Return a message for each key that needs validation images where there are none."""
    if split.validation:
        return []
    calibration = [
        "evaluation.calibrate: expected split.validation above 0 with it, because the temperature "
        "is fitted on validation images, got 0"
    ]
    return (calibration if evaluation.calibrate else []) + [
        f"training.{name}: expected split.validation above 0 with it, because it uses the "
        "validation loss, got 0"
        for name in training.validation_settings()
    ]


def _override(sections: dict[str, Any], override: str) -> str | None:
    """Put one ``section.key=value`` into the sections; return the problem, if there is one."""
    name, equals, value = override.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        return f"--set {override}: expected section.key=value"
    # Names of Spark settings contain dots; no other key does.
    spark_name = ""
    if section == "spark" and key.startswith("conf."):
        key, spark_name = "conf", key.removeprefix("conf.")
    values = sections.setdefault(section, {})
    if not isinstance(values, dict):
        return None  # reported with the section
    parsed = parse_value(value.strip(), is_text=_is_text(section, key))
    if not spark_name:
        values[key] = parsed
        return None
    conf = values.setdefault(key, {})
    if isinstance(conf, dict):
        try:
            # Flattened, so that the override replaces a nested spelling in the file.
            conf = spark_settings().parse(conf)
        except ValueError:
            return None  # reported with the key
        values[key] = {**conf, spark_name: parsed}  # type: ignore[dict-item]
    return None


def _is_text(section: str, name: str) -> bool:
    keys = declared_keys(SECTIONS[section]) if section in SECTIONS else {}
    return name in keys and keys[name].kind.is_text
