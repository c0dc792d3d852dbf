"""Damaged file: what the saved model of a stranger can raise, as errors of this library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from glasses_spark.errors import GlassesSparkError, ScoringError
from glasses_spark.runtime.causes import describe, telling_line


@contextmanager
def damage_reported(location: str, kind: type[GlassesSparkError] = ScoringError) -> Iterator[None]:
    """Report what the contents of a saved model or estimator raise in the block.

    Args:
        location: Path or URI of the file or folder, for the message.
        kind: Class of the error.

    Raises:
        GlassesSparkError: Any exception of the block; one of this library as it is.
    """
    try:
        yield
    except GlassesSparkError:
        raise
    except Exception as error:
        raise kind(
            f"{location}: cannot be read as a saved model or estimator, it is damaged or of "
            f"another program ({describe(error)}). Save it again, or load another one"
        ) from error


def keras_cannot_load(location: str, error: Exception, *, safe_mode: bool) -> ScoringError:
    """Return the error for a model that Keras cannot build from its saved form.

    Args:
        location: Path of the file, or what the model is called in the message.
        error: What Keras has raised.
        safe_mode: Whether Keras refuses a ``Lambda`` layer.
    """
    message = telling_line(str(error)) or type(error).__name__
    advice = "Give classes of your own in custom_objects"
    if safe_mode and "lambda" in str(error).lower():
        message = "a Lambda layer's code would run"
        advice = "Use safe_mode=False if you trust the file"
    return ScoringError(f"{location}: Keras cannot load this model: {message}. {advice}")
