"""Logging of the command line."""

from __future__ import annotations

import logging
import os
import sys


class _StandardError(logging.Handler):
    """Prints to what is standard error at that moment: a live progress bar replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr)
        except Exception:  # as every handler of the standard library does
            self.handleError(record)


class _Short(logging.Formatter):
    """Our own news without ornament; the level where it matters."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"


def configure_logging(*, verbose: bool, debug: bool) -> None:
    """Quiet by default: warnings, and our own news as short lines."""
    handler = _StandardError()
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s") if debug else _Short()
    )
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING,
        handlers=[handler],
        force=True,
    )
    logging.getLogger("glasses_spark").setLevel(logging.DEBUG if verbose or debug else logging.INFO)
    logging.captureWarnings(True)
    if debug:
        # Both are read when TensorFlow is imported.
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
        os.environ["GLASSES_SPARK_NATIVE_STDERR"] = "1"
    else:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Its debug lines are addresses, and a signed one is good for whoever reads it.
    logging.getLogger("urllib3").setLevel(logging.INFO)
    # py4j logs each call, and as errors those that a stopped Spark no longer answers.
    logging.getLogger("py4j").setLevel(logging.INFO if debug else logging.CRITICAL)
    if not (verbose or debug):
        for chatty in ("absl", "tensorflow", "py.warnings"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
