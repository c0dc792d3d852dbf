"""Command line: arguments, logging and exit codes around the commands."""

from __future__ import annotations

import argparse
import atexit
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from glasses_spark import __version__
from glasses_spark.errors import ConfigError, GlassesSparkError

OK: Final = 0
FAILED: Final = 1
WRONG_CALL: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it

_DESCRIPTION: Final = """\
Tell faces with glasses from faces without, on Apache Spark, with Keras and Elephas.
Each command has its own help: glasses-spark train --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; by default the process' own.

    Returns:
        The exit code: 0 when done, 1 when the work failed, 2 when the call or
        the configuration is wrong, 130 when interrupted.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return WRONG_CALL
    _set_up_logging(verbose=arguments.verbose, debug=arguments.debug)
    return _guarded(lambda: _run(arguments), debug=arguments.debug)


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


def _run(arguments: argparse.Namespace) -> None:
    # Imported late, so that `--help` answers at once.
    from glasses_spark import commands

    getattr(commands, arguments.command.replace("-", "_"))(arguments)


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="glasses-spark",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for add in (
        _add_fetch,
        _add_draw_faces,
        _add_prepare,
        _add_train,
        _add_cross_validate,
        _add_evaluate,
        _add_predict,
        _add_compare,
        _add_doctor,
        _add_advise,
    ):
        add(commands)
    return parser


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a command with the options of all that work by a configuration."""
    command = _add_bare_command(commands, name, summary, examples)
    command.add_argument("--config", metavar="FILE", help="TOML file; see docs/configuration.md")
    command.add_argument(
        "--set",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        help="set one key, over the file; may be given several times",
    )
    return command


def _add_bare_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    examples: Sequence[str],
) -> argparse.ArgumentParser:
    """Add a command with the options that all of them have."""
    command = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog="examples:\n"
        + "\n".join(f"  glasses-spark {name} {one}".rstrip() for one in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--verbose", action="store_true", help="say more of what goes on")
    command.add_argument(
        "--debug", action="store_true", help="say everything, with tracebacks of errors"
    )
    return command


def _add_fetch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_command(
        commands,
        "fetch",
        "download a data set of Kaggle's (data.dataset) and its labels (data.labels_url)",
        [
            "--config configs/kaggle.toml",
            "--config configs/kaggle.toml --keep-zip",
            "--config configs/kaggle.toml --set data.images=/big/faces",
        ],
    )
    command.add_argument(
        "--keep-zip",
        action="store_true",
        help="keep the downloaded zip file beside the images' folder (default: remove it)",
    )


def _add_draw_faces(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_command(
        commands,
        "draw-faces",
        "draw a face for each row of a labels file, as PNG files",
        [
            "--labels labels.csv --out faces",
            "--config configs/demo.toml --size 512",
            "--out few --limit 20",
        ],
    )
    command.add_argument(
        "--labels", metavar="FILE", help="labels file with index,label (default: data.labels)"
    )
    command.add_argument("--out", metavar="FOLDER", help="where to (default: data.images)")
    command.add_argument(
        "--size",
        metavar="PIXELS",
        type=_whole(64, 1024),
        default=256,
        help="height and width, 64 to 1024 (default: %(default)s)",
    )
    command.add_argument(
        "--seed", metavar="N", type=_whole(0), help="other faces (default: run.seed)"
    )
    command.add_argument(
        "--limit", metavar="N", type=_whole(1), help="the first N rows only (default: all)"
    )


def _add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _add_command(
        commands,
        "prepare",
        "decode the labelled images that the pixel store does not have yet",
        [
            "--config configs/demo.toml",
            "--set data.images=DIR --set data.labels=FILE --set store.dir=PIXELS",
        ],
    )


def _add_no_store(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--no-store",
        action="store_true",
        help="decode all images anew and keep no pixels, as with an empty store.dir",
    )


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_command(
        commands,
        "train",
        "train on labelled images, and write the results to run.dir",
        [
            "--config configs/demo.toml",
            "--config configs/demo.toml --set data.limit=200 --set training.epochs=2",
            "--set data.images=DIR --set data.labels=FILE --set run.dir=OUT",
        ],
    )
    command.add_argument(
        "--plots",
        action="store_true",
        help="write the plots of the report as PNG and SVG files, too, into plots/ of run.dir",
    )
    _add_no_store(command)


def _add_cross_validate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_command(
        commands,
        "cross-validate",
        "fit once for each fold on all others, judge every image by a model that has not seen it, "
        "and list the labels most likely wrong",
        [
            "--config configs/demo.toml",
            "--config configs/demo.toml --folds 10 --out runs/ten-folds",
        ],
    )
    command.add_argument(
        "--folds",
        metavar="K",
        type=_whole(2, 100),
        help="parts, each held out once (default: evaluation.folds)",
    )
    command.add_argument(
        "--out",
        metavar="FOLDER",
        help="folder for the results (default: run.dir with -cross-validation at its end)",
    )
    _add_no_store(command)


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_command(
        commands,
        "evaluate",
        "judge the model of a run on labelled images",
        [
            "--model runs/demo --part test",
            "--model runs/demo --set data.images=DIR --set data.labels=FILE --json",
        ],
    )
    command.add_argument(
        "--model", metavar="RUN", help="run folder that train wrote, or its URI (default: run.dir)"
    )
    command.add_argument(
        "--part",
        choices=["all", "train", "validation", "test"],
        default="all",
        help="all images, or those of one part of the run's own split (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="print the metrics as JSON")
    _add_no_store(command)


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_command(
        commands,
        "predict",
        "write path, probability of glasses and predicted label of images as CSV",
        [
            "--model runs/demo me.png you.png",
            "--model runs/demo photos --out photos.csv",
            "--model runs/demo photos --set evaluation.threshold=0.9",
        ],
    )
    command.add_argument(
        "--model",
        metavar="RUN",
        required=True,
        help="run folder that train wrote, or its URI",
    )
    command.add_argument("--out", metavar="FILE", help="CSV file (default: standard output)")
    command.add_argument(
        "images", metavar="IMAGE", nargs="+", help="PNG file, or folder, glob or URI of some"
    )


def _add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_bare_command(
        commands,
        "compare",
        "show runs side by side, and whether their models differ by more than chance",
        [
            "runs/demo runs/synchronous",
            "runs/* --html comparison.html",
            "runs/demo runs/other --json",
        ],
    )
    command.add_argument(
        "runs", metavar="RUN", nargs="+", help="run folder that train wrote; two or more"
    )
    command.add_argument(
        "--html", metavar="FILE", help="write a page with the learning curves as well"
    )
    command.add_argument("--json", action="store_true", help="print the comparison as JSON")


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_command(
        commands,
        "doctor",
        "check this machine, and with a configuration its data, workers, memory, disk and ports",
        [
            "",
            "--config configs/demo.toml",
            "--config configs/cluster.toml --spark",
            "--config configs/demo.toml --json",
        ],
    )
    command.add_argument(
        "--spark", action="store_true", help="also start Spark, and have it list the data"
    )
    command.add_argument("--json", action="store_true", help="print the checks as JSON")


def _add_advise(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = _add_command(
        commands,
        "advise",
        "measure this machine on the data, and say what a run will take and how to train",
        ["--config configs/demo.toml", "--config configs/kaggle.toml --json"],
    )
    command.add_argument("--json", action="store_true", help="print the forecasts as JSON")


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    wanted = f"a whole number >= {low}" if high is None else f"a whole number from {low} to {high}"

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < low or (high is not None and int(text) > high):
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return int(text)

    return parse


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


def _set_up_logging(*, verbose: bool, debug: bool) -> None:
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
