"""Argument parser: all commands and their options."""

from __future__ import annotations

import argparse
from typing import Final

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
    train,
)

# In the order in which `--help` lists them.
_COMMANDS: Final = (
    fetch,
    draw_faces,
    prepare,
    train,
    cross_validate,
    evaluate,
    predict,
    export,
    compare,
    doctor,
    advise,
)

_DESCRIPTION: Final = """\
Train Keras models on Apache Spark with Elephas. The demo model classifies faces as with
or without glasses. Each command has its own help, for example: glasses-spark train --help
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; ``arguments.run`` is the function of a command."""
    parser = argparse.ArgumentParser(
        prog="glasses-spark",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser
