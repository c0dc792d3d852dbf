"""Tests for glasses_spark.cli.logs."""

from __future__ import annotations

import logging
import os
import warnings

import pytest

from glasses_spark.cli.logs import configure_logging
from glasses_spark.cli.main import main
from glasses_spark.runtime import native_stderr


def test_messages_of_the_package_are_short_lines_and_levels_above_info_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(verbose=False, debug=False)

    logging.getLogger("glasses_spark.loading").info("500 images")
    logging.getLogger("glasses_spark.loading").warning("3 in quarantine")
    logging.getLogger("glasses_spark.loading").debug("hidden")
    logging.getLogger("another").info("hidden")
    logging.getLogger("another").warning("disk full")
    logging.getLogger("tensorflow").warning("hidden")

    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["500 images", "warning: 3 in quarantine", "warning: disk full"]


def test_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(verbose=False, debug=False)

    logging.getLogger("glasses_spark").warning("%s is bad", "a\x1b[2J\r\x9b\u202e.png")
    assert main(["compare", "no\x1b[2J", "none"]) == 2

    first, second = capsys.readouterr().err.splitlines()
    assert first == r"warning: a\x1b[2J\x0d\x9b\u202e.png is bad"
    assert second.startswith(r"error: no\x1b[2J: ")


def test_verbose_shows_the_info_messages_of_all_packages(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(verbose=True, debug=False)

    logging.getLogger("another").info("shown")
    logging.getLogger("another").debug("hidden")
    logging.getLogger("glasses_spark").debug("detail")

    assert capsys.readouterr().err.splitlines() == ["shown", "debug: detail"]


def test_debug_shows_time_and_logger_but_no_urls_and_no_calls_to_java(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(verbose=False, debug=True)

    logging.getLogger("another").debug("detail")
    logging.getLogger("urllib3.connectionpool").debug("https://host/?token=secret")
    logging.getLogger("py4j").debug("Command to send")

    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("DEBUG another: detail")


def test_warnings_of_python_are_hidden_unless_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for verbose in (False, True):
        configure_logging(verbose=verbose, debug=False)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("old function", stacklevel=1)
        logging.captureWarnings(False)
        assert ("old function" in capsys.readouterr().err) == verbose


def test_debug_leaves_the_native_output_of_tensorflow_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(native_stderr.VARIABLE, "0")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    configure_logging(verbose=False, debug=True)

    assert os.environ[native_stderr.VARIABLE] == "1"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
