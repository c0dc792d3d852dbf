"""Train through spark-submit: `spark-submit scripts/train.py --config configs/demo.toml`."""

from __future__ import annotations

import sys

from glasses_spark.cli.main import program

if __name__ == "__main__":
    program(["train", *sys.argv[1:]])
