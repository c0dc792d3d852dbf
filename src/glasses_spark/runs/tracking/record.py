"""Record: a finished run, sent to MLflow and TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def attempting(folder: Path) -> Iterator[None]:
    """Make a warning of an error in what is done with a run that is finished."""
    try:
        yield
    except Exception as error:
        logger.warning("%s. The results in %s are complete", error, folder)
