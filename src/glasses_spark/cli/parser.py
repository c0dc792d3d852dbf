"""Argument parser: all commands and their options."""

from __future__ import annotations

import argparse
from typing import Final, NoReturn

from glasses_spark import __version__
from glasses_spark.cli.commands import (
    advise,
    compare,
    cross_validate,
    doctor,
    draw_faces,
    evaluate,
    export,
    fetch,
    predict,
    prepare,
    serve,
    train,
    watch,
)
from glasses_spark.printable import printable_text

# In the order in which `--help` lists them.
_COMMANDS: Final = (
    fetch,
    draw_faces,
    prepare,
    train,
    cross_validate,
    evaluate,
    predict,
    watch,
    serve,
    export,
    compare,
    doctor,
    advise,
)

_DESCRIPTION: Final = """\
Train Keras models on Apache Spark with Elephas. The demo model classifies faces as with
or without glasses. Each command has its own help, for example: glasses-spark train --help
"""


class _Parser(argparse.ArgumentParser):
    """Escapes what a message repeats of the arguments, such as file names of a glob."""

    def error(self, message: str) -> NoReturn:
        super().error(printable_text(message))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; ``arguments.run`` is the function of a command."""
    parser = _Parser(
        prog="glasses-spark",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser
