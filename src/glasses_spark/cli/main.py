"""Command line: arguments, logging and exit codes around the commands."""

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
from glasses_spark.errors import ConfigError, GlassesSparkError

OK: Final = 0
FAILED: Final = 1
WRONG_CALL: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; by default the process' own.

    Returns:
        The exit code: 0 when done, 1 when the work failed, 2 when the call or
        the configuration is wrong, 130 when interrupted.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return WRONG_CALL
    configure_logging(verbose=arguments.verbose, debug=arguments.debug)
    return _guarded(lambda: arguments.run(arguments), debug=arguments.debug)


def program() -> NoReturn:
    """Run one command as the whole of this process, and end it.

    What an interpreter does last, after all that is registered for its end, is to take
    apart every object. With TensorFlow that takes a second; the system frees it at once.
    """
    code: int | str | None
    try:
        code = main()
    except SystemExit as end:  # of argparse
        code = end.code
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code if isinstance(code, int) else FAILED if code else OK)


def _guarded(work: Callable[[], None], *, debug: bool) -> int:
    """Turn the end of the work into an exit code and at most a line or two."""
    try:
        work()
        sys.stdout.flush()
        return OK
    except ConfigError as error:
        return _fail(str(error), WRONG_CALL, debug=debug)
    except GlassesSparkError as error:
        return _fail(str(error), FAILED, debug=debug)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, debug=debug)
    except BrokenPipeError:
        # Who read our output has seen enough, as in `glasses-spark predict ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:  # a user gets one line for anything else, too
        reason = next(iter(str(error).strip().splitlines()), "no reason given")
        hint = "" if debug else "; use --debug for the traceback"
        return _fail(f"unexpected {type(error).__name__}: {reason}{hint}", FAILED, debug=debug)


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    return code
