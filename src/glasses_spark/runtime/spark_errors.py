"""Spark errors: what Spark, its JVM or a Python worker raises, as errors of this library.

Spark puts the cause at the end of its messages, after stack traces of several pages. An error
of this module begins with the cause, in one line, and has Spark's own error as ``__cause__``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pickle import PicklingError
from typing import Final

from glasses_spark import errors
from glasses_spark.errors import GlassesSparkError, SetupError
from glasses_spark.runtime.causes import named, shortened, telling_line
from glasses_spark.runtime.hidden_modules import hiding_files

_TRACEBACK: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(r'  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)')
# Where the text of a Python exception ends in the text of a Java exception.
_AFTER_PYTHON: Final = re.compile(r"\s*at [\w.$]+[(/]|Driver stack|Caused by: |JVM stack")

_CALL: Final = re.compile(r"\AAn error occurred while calling \S+\s*:\s*")
_CAUSED_BY: Final = re.compile(r"^Caused by: ", re.MULTILINE)
_STACK: Final = re.compile(r"^\s+(at [\w.$]+[(/]|\.\.\. \d+ more)|^Driver stack", re.MULTILINE)
_JAVA_CLASS: Final = re.compile(r"\A(?:[\w$]+\.)+(?P<name>[A-Z][\w$]*)(?::\s+|\Z)")
_LOST_TASK: Final = re.compile(r"\AJob aborted due to .*?\(TID \d+\) \([^)]*\): ", re.DOTALL)
_NO_START: Final = "Error from python worker"
_SQL_STATE: Final = re.compile(r"\s*SQLSTATE: \w{5};?")

_CHOOSE_PYTHON: Final = (
    "Set PYSPARK_PYTHON to a Python that has glasses_spark, on every machine of the cluster, "
    "before the session starts"
)
_MEMORY: Final = (
    "Give it more memory with spark.executor.memory, in local mode spark.driver.memory, or use "
    "more and smaller partitions"
)
_STOPPED: Final = "the SparkSession was stopped"
_JVM_ENDED: Final = "the JVM of Spark has ended"
_START: Final = "Start a session, and read the data again"


@dataclass(frozen=True)
class Cause:
    """The cause of an error of Spark.

    Attributes:
        kind: Class of the exception without its package, such as ``ValueError``.
        message: Its message, in one line.
        place: Where Python code raised it, such as ``parse (job.py, line 7)``; may be empty.
        is_own: Whether the class is one of this library.
    """

    kind: str
    message: str
    place: str = ""
    is_own: bool = False

    def __str__(self) -> str:
        text = named(self.kind, self.message).rstrip(". ")
        return f"{text}, in {self.place}" if self.place else text


@dataclass(frozen=True)
class _Known:
    """A cause for which there is better advice than the general one."""

    pattern: re.Pattern[str]
    advice: str
    kind: type[GlassesSparkError] | None = None
    # In place of Spark's words; `{0}` is the first group of the pattern.
    text: str = ""


_KNOWN: Final = (
    _Known(
        re.compile(r"No module named '?glasses_spark"),
        _CHOOSE_PYTHON,
        SetupError,
        "ModuleNotFoundError: No module named 'glasses_spark' in Spark's Python workers",
    ),
    _Known(
        re.compile("Python worker failed to connect back|" + _NO_START),
        _CHOOSE_PYTHON,
        SetupError,
    ),
    _Known(
        re.compile(r"No module named '?([\w.]+)"),
        "Install it there, send its file with spark.sparkContext.addPyFile, or set PYSPARK_PYTHON "
        "to a Python that has it, before the session starts",
        text="ModuleNotFoundError: No module named '{0}' in Spark's Python workers",
    ),
    _Known(re.compile("PYTHON_VERSION_MISMATCH"), _CHOOSE_PYTHON, SetupError),
    _Known(
        re.compile(r'Cannot run program "([^"]*)"'),
        _CHOOSE_PYTHON,
        SetupError,
        "the Python of Spark's workers, {0}, cannot be started",
    ),
    _Known(
        re.compile(r"Python worker exited unexpectedly"),
        "Check whether the machine is out of memory; "
        "spark.python.worker.faulthandler.enabled=true shows where a native library crashed",
        text="a Python worker was killed or crashed",
    ),
    _Known(re.compile("ExecutorLostFailure"), _MEMORY),
    _Known(re.compile("OutOfMemoryError|SparkOutOfMemory"), _MEMORY),
    _Known(
        re.compile("stopped SparkContext|SparkContext was shut down|SparkContext (has been )?stop"),
        _START,
        SetupError,
        _STOPPED,
    ),
    _Known(
        re.compile("Answer from Java side is empty|Error while (sending|receiving)|Py4JNetwork"),
        _START,
        SetupError,
        _JVM_ENDED,
    ),
    _Known(
        re.compile("FileNotFoundException|FILE_NOT_EXIST"),
        "Files were deleted or replaced after the DataFrame was made: read them again",
    ),
    _Known(
        re.compile("PicklingError"),
        "Check custom_objects, own layers, the loss and metrics for what Python cannot send to "
        "the workers, such as locks and open files",
    ),
    _Known(
        re.compile("AMBIGUOUS_REFERENCE"), "Rename the columns of the same name, with toDF or alias"
    ),
)


def spark_error_types() -> tuple[type[Exception], ...]:
    """Return the types of the errors that Spark's Python interface raises."""
    # Not at the top: an external Spark, named by SPARK_HOME, brings its own.
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    # PySpark converts some of Java's exceptions, and passes on the others. Functions that it
    # cannot send to the workers are PicklingErrors.
    return (Py4JError, PySparkException, PicklingError)


def is_spark_error(error: BaseException) -> bool:
    """Return whether an error is one that Spark's Python interface raises."""
    # Without Spark there is none, and importing it takes a while.
    return "py4j" in sys.modules and isinstance(error, spark_error_types())


@contextmanager
def spark_errors(
    kind: type[GlassesSparkError], doing: str, advice: str = "Check the steps that make the rows"
) -> Iterator[None]:
    """Raise the errors of Spark in the block as errors of this library.

    Args:
        kind: Class of the errors, unless the cause tells a better one.
        doing: What the block does, for the message, such as ``the fit``.
        advice: What to do, unless the cause tells better.
    """
    try:
        yield
    except GlassesSparkError:
        raise
    except Exception as error:
        if ended := _ended():
            # PySpark then fails in many ways, also with an AttributeError.
            raise SetupError(f"{ended} (during {doing}). {_START}") from error
        if not isinstance(error, spark_error_types()):
            raise
        raise translated(error, kind, doing, advice) from error


def translated(
    error: BaseException, kind: type[GlassesSparkError], doing: str, advice: str
) -> GlassesSparkError:
    """Return an error of this library for an error of Spark; see `spark_errors`."""
    cause = cause_of(error)
    if cause.is_own:
        # Raised by this library in a Python worker: it says what to do.
        own: type[GlassesSparkError] = getattr(errors, cause.kind)
        return own(cause.message)
    text = str(cause)
    # Spark's own Python daemon looks into the current folder first.
    hiding = [file for file in hiding_files(["."]) if file in str(error)]
    if hiding:
        return SetupError(
            f"{text} (during {doing}). {hiding[0]} was imported in place of the module of that "
            "name. Rename it"
        )
    known = _known(cause)
    if known is not None:
        kind, advice = known.kind or kind, known.advice
        if known.text:
            match = known.pattern.search(text)
            assert match is not None
            text = known.text.format(*match.groups())
    return kind(f"{text} (during {doing}). {advice}")


def cause_of(error: BaseException) -> Cause:
    """Return the deepest cause that an error of Spark tells."""
    text = str(error)
    if _TRACEBACK in text:
        return _of_python(text)
    return _of_java(text.strip(), type(error).__name__)


def _ended() -> str:
    """Return how the Spark that this process has started has ended; empty if it has not."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is None:
        return ""
    # Without a process of its own, spark-submit has started the JVM.
    process = getattr(gateway, "proc", None)
    if process is not None and process.poll() is not None:
        return _JVM_ENDED
    return _STOPPED if SparkContext._active_spark_context is None else ""


def _known(cause: Cause) -> _Known | None:
    text = str(cause)
    return next((known for known in _KNOWN if known.pattern.search(text)), None)


def _of_python(text: str) -> Cause:
    """Return the cause from the last Python traceback in a text."""
    lines = text[text.rindex(_TRACEBACK) + len(_TRACEBACK) :].strip("\n").splitlines()
    place = ""
    message: list[str] = []
    for line in lines:
        if message:
            if _AFTER_PYTHON.match(line):
                break
            message.append(line)
        elif (frame := _FRAME.match(line)) is not None:
            place = _place(frame)
        elif line and not line.startswith(" "):
            message.append(line)
    kind, _, rest = "\n".join(message).partition(":")
    kind, name = kind.strip(), kind.strip().rpartition(".")[2]
    if not name.isidentifier():  # a message without the name of a class
        return Cause("PythonException", telling_line("\n".join(message)), place)
    is_own = kind == f"{errors.__name__}.{name}" and hasattr(errors, name)
    return Cause(name, telling_line(rest), place, is_own)


def _place(frame: re.Match[str]) -> str:
    """Return the place of a frame of the user's own code; empty for one of Spark's."""
    file = frame["file"]
    if re.search(r"[/\\](pyspark|pyspark\.zip|site-packages|glasses_spark)[/\\]", file):
        return ""
    if file.endswith(".pxi") or file.startswith("<frozen"):
        return ""
    name = re.split(r"[/\\]", file)[-1]
    return f"{frame['function']} ({name}, line {frame['line']})"


def _of_java(text: str, kind: str) -> Cause:
    """Return the deepest cause from the text of a Java exception: one of `_KNOWN`, or any."""
    text = text.partition("\n\nJVM stacktrace:")[0]
    parts = [_STACK.split(part, maxsplit=1)[0] for part in _CAUSED_BY.split(_CALL.sub("", text))]
    causes = [_java_cause(part.strip(), kind) for part in reversed(parts)]
    told = [cause for cause in causes if cause.message]
    known = [cause for cause in told if _known(cause) is not None]
    return (known or told or causes)[0]


def _java_cause(text: str, kind: str) -> Cause:
    while (match := _JAVA_CLASS.match(text) or _LOST_TASK.match(text)) is not None:
        kind = match.groupdict().get("name") or kind
        text = text[match.end() :]
    # The line that follows is what a Python printed that did not start.
    text = re.sub(rf"\A{_NO_START}:\s*", f"{_NO_START}: ", text)
    line = _SQL_STATE.sub("", telling_line(text)).strip()
    return Cause(kind, shortened(line))
