"""Logging of the command line."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

from glasses_spark.printable import printable_text
from glasses_spark.runtime import native_stderr

# Loggers of TensorFlow and of Python's warnings.
_NOISY_LOGGERS: Final = ("absl", "tensorflow", "py.warnings")


class _StandardError(logging.Handler):
    """Prints to the current ``sys.stderr``, which a live progress bar replaces."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            # Names from outside are in many messages.
            print(printable_text(self.format(record)), file=sys.stderr)
        except Exception:  # as the handlers of the standard library do
            self.handleError(record)


class _Short(logging.Formatter):
    """Prints the message, with the level in front unless it is INFO."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"


def configure_logging(*, verbose: bool, debug: bool) -> None:
    """Configure logging for this process.

    By default warnings are shown, and the INFO messages of this package as short lines.

    Args:
        verbose: Show INFO messages of all packages and DEBUG messages of this one.
        debug: Show DEBUG messages of all packages, with time and logger, and the output of
            TensorFlow's native code.
    """
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
        # Both have an effect when TensorFlow is imported.
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
        os.environ[native_stderr.VARIABLE] = "1"
        # The parameter server would silence it.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    else:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # DEBUG messages contain URLs, and a signed URL gives access to whoever reads it.
    logging.getLogger("urllib3").setLevel(logging.INFO)
    # py4j logs each call at DEBUG, and calls to a stopped Spark at ERROR.
    logging.getLogger("py4j").setLevel(logging.INFO if debug else logging.CRITICAL)
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET if verbose or debug else logging.ERROR)
