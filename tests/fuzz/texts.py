"""Fuzz targets of texts: ``labels``, ``config``, ``saved-config`` and ``overrides``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError, LabelsError
from glasses_spark.loading.labels_file import parse_labels
from tests.fuzz.target import Check, Target, refused
from tests.paths import ROOT

_SAVED: Final = ROOT / "tests" / "compatibility" / "saved_0b62211"


def label_seeds() -> list[bytes]:
    """Return labels files with the forms of rows that occur."""
    table = (ROOT / "labels.csv").read_bytes()
    return [
        b"".join(table.splitlines(keepends=True)[:20]),
        b"index,label\r\n1,1\r\n2,0\r\n",
        b'\xef\xbb\xbfindex,label\n"3",1.0\n4,\n5,nan\n6,-1\n7,1e0\n',
        "index;label\n1;1\n".encode("utf-16"),
        b"index,label\n1,1,1\n",
    ]


@contextmanager
def labels_opened() -> Iterator[Check]:
    """Provide a check: ids and labels of 0, 1 or undefined, or an error."""

    def check(data: bytes) -> None:
        def parse() -> None:
            for number, label in parse_labels(data, "labels.csv").items():
                assert 0 <= number < 2**31
                assert label in (0.0, 1.0, None)

        refused(parse, LabelsError)

    yield check


def config_seeds() -> list[bytes]:
    """Return the configurations of the project, and that of a saved run."""
    files = [*sorted((ROOT / "configs").glob("*.toml")), *sorted(_SAVED.rglob("config.toml"))]
    return [file.read_bytes() for file in files] + [Config().to_toml().encode()]


@contextmanager
def config_opened() -> Iterator[Check]:
    """Provide a check: a configuration that survives writing and reading, or an error."""
    with _file("config.toml") as path:

        def check(data: bytes) -> None:
            path.write_bytes(data)
            loaded: list[Config] = []
            if refused(lambda: loaded.append(Config.load(path)), ConfigError):
                return
            path.write_text(loaded[0].to_toml(), encoding="utf-8")
            assert Config.load(path) == loaded[0]

        yield check


def saved_config_seeds() -> list[bytes]:
    """Return configurations of runs, also with settings that a stranger would like to set."""
    return [
        *config_seeds(),
        b'[spark]\nmaster = "spark://stranger:7077"\n[spark.conf]\n'
        b'"spark.driver.extraJavaOptions" = "-XX:OnOutOfMemoryError=id"\n',
        b'[run]\ndir = "/etc"\nseed = 3\n[store]\ndir = "/tmp/x"\n[tracking]\nmlflow = true\n',
    ]


@contextmanager
def saved_config_opened() -> Iterator[Check]:
    """Provide a check: nothing but what describes data and model is taken from a saved run."""
    with _file("config.toml") as path:
        plain = Config()

        def check(data: bytes) -> None:
            path.write_bytes(data)
            loaded: list[Config] = []
            if refused(lambda: loaded.append(Config.from_saved_run(path)), ConfigError):
                return
            (config,) = loaded
            assert config.spark == plain.spark
            assert config.store == plain.store
            assert config.tracking == plain.tracking
            assert config.training == plain.training
            assert config.run.dir == plain.run.dir

        yield check


def override_seeds() -> list[bytes]:
    """Return arguments of ``--set``, one to a line."""
    return [
        b"training.epochs=3\nrun.seed=7",
        b'training.metrics=["accuracy", "auc"]',
        b"spark.conf.spark.executor.memory=2g\ndata.glob=*.png",
        b"split.test=0.5\nsplit.validation=0.6",
    ]


@contextmanager
def overrides_opened() -> Iterator[Check]:
    """Provide a check: a configuration, or an error that names the argument."""

    def check(data: bytes) -> None:
        overrides = data.decode("utf-8", "surrogateescape").split("\n")
        refused(lambda: Config().override(overrides).to_toml(), ConfigError)

    yield check


@contextmanager
def _file(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / name


LABELS: Final = Target("labels", label_seeds, labels_opened)
CONFIG: Final = Target("config", config_seeds, config_opened)
SAVED_CONFIG: Final = Target("saved-config", saved_config_seeds, saved_config_opened)
OVERRIDES: Final = Target("overrides", override_seeds, overrides_opened)
