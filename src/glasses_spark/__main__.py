"""Entry point of ``python -m glasses_spark``: the command line."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # `python -m` puts the current folder first, where a user's file such as keras.py would
        # hide a package.
        sys.path.append(sys.path.pop(0))
    from glasses_spark.cli.main import program

    program()
