"""Tests for glasses_spark.extras."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from glasses_spark.errors import SetupError
from glasses_spark.extras import require_extra


def test_an_installed_module_is_returned() -> None:
    assert require_extra("json", extra="report", purpose="writing a report") is json


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(SetupError) as error:
        require_extra("jinja2", extra="report", purpose="writing a report")

    assert str(error.value) == (
        "writing a report needs the package jinja2, which is not installed. "
        'Install it: pip install "glasses-spark[report]"'
    )


def test_the_package_of_a_missing_submodule_is_named() -> None:
    with pytest.raises(SetupError, match="needs the package no_such_package, which"):
        require_extra("no_such_package.figure", extra="report", purpose="drawing a plot")


def test_a_missing_package_that_the_module_imports_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_another.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(SetupError, match="needs the package no_such_package, which"):
        require_extra("needs_another", extra="report", purpose="writing a report")
