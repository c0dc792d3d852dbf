"""Entry point of ``python -m glasses_spark``: the command line."""

from __future__ import annotations

from glasses_spark.cli.main import program

if __name__ == "__main__":
    program()
