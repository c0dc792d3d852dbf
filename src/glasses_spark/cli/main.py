"""Command line: run one command and turn its end into an exit code."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from glasses_spark.cli.logs import configure_logging
from glasses_spark.cli.parser import build_parser
from glasses_spark.cli.streams import OutputError, prepare_streams, require_output
from glasses_spark.errors import ConfigError, GlassesSparkError, SetupError
from glasses_spark.printable import printable_text
from glasses_spark.runtime.native_stderr import discard_native_stderr
from glasses_spark.runtime.place import require_place
from glasses_spark.runtime.spark_errors import is_spark_error, translated
from glasses_spark.runtime.startup import Optimization, is_enabled

OK: Final = 0
FAILED: Final = 1
WRONG_CALL: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, the convention of shells

_ADVICE: Final = "Check the data and the settings of Spark; --debug shows the traceback"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; by default those of the process.

    Returns:
        The exit code: 0 for success, 1 if the work failed, 2 if the call or the
        configuration is wrong, 130 after an interruption.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return WRONG_CALL
    configure_logging(verbose=arguments.verbose, debug=arguments.debug)
    return _guard(lambda: arguments.run(arguments), debug=arguments.debug)


def program(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command as the only work of this process, and exit.

    Args:
        argv: As for ``main``.
    """
    prepare_streams()
    discard_native_stderr()
    if not is_enabled(Optimization.QUICK_EXIT):
        sys.exit(main(argv))
    code: int | str | None
    try:
        code = main(argv)
    except SystemExit as end:  # raised by argparse
        code = end.code
    # Exit functions run as usual. But deleting every object, which the interpreter does
    # afterwards, takes a second with TensorFlow.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader has closed it
            stream.flush()
    os._exit(code if isinstance(code, int) else FAILED if code else OK)


def _guard(work: Callable[[], None], *, debug: bool) -> int:
    """Run the work and return an exit code; print an error in one or a few lines."""
    try:
        work()
        sys.stdout.flush()
        require_output()
        return OK
    except ConfigError as error:
        return _fail(str(error), WRONG_CALL, debug=debug)
    except GlassesSparkError as error:
        return _fail(str(error), FAILED, debug=debug)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, debug=debug)
    except BrokenPipeError:
        # The reader closed the pipe, as in `glasses-spark predict ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OutputError as error:
        return OK if error.is_closed else _fail(str(error), FAILED, debug=debug)
    except Exception as error:
        if is_spark_error(error):
            own = translated(error, GlassesSparkError, "the command", _ADVICE)
            return _fail(str(own), FAILED, debug=debug)
        if isinstance(error, OSError):
            # The current folder was removed, for example.
            try:
                require_place({})
            except SetupError as defect:
                return _fail(str(defect), FAILED, debug=debug)
        reason = next(iter(str(error).strip().splitlines()), "no reason given")
        if isinstance(error, Warning):
            # Many packages warn when they are imported.
            told = f"{type(error).__name__}: {reason}; Python was told to raise warnings as errors"
            return _fail(f"{told}. Unset PYTHONWARNINGS", FAILED, debug=debug)
        hint = "" if debug else ". Use --debug for the traceback"
        return _fail(
            f"{type(error).__name__}: {reason}; this is not one of the errors that glasses-spark "
            f"reports itself{hint}",
            FAILED,
            debug=debug,
        )


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    with suppress(OSError):  # standard error cannot be written either
        print(f"error: {printable_text(message)}", file=sys.stderr, flush=True)
    return code
