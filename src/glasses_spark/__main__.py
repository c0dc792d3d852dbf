"""`python -m glasses_spark`: the command line."""

from __future__ import annotations

import sys

from glasses_spark.cli import main

if __name__ == "__main__":
    sys.exit(main())
