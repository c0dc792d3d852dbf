"""Torture: fits on a cluster of this machine, whose processes are killed, lose nothing.

    python benchmarks/torture.py [--kills 40] [--seed 0]

Kills drivers, JVMs, executors and Python workers of fits in four ways, at random moments, and
starts drivers again, which go on from the checkpoints. At the end of each fit all workers must have
trained on all their rows in each epoch, and a synchronous fit must have the weights of one that
nobody disturbed, bit for bit. The log is in ``results/torture.json``. About 10 s for each kill.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.cluster.standalone import Host, standalone
from tests.cluster.torture import VICTIMS, Torture, epochs_for
from tests.cluster.torture_fit import ROWS, fit, frame

from environment import describe, write_result
from glasses_spark.runtime.session import spark_session

WAYS = ("synchronous/batch", "synchronous/epoch", "asynchronous/batch", "hogwild/epoch")


def main() -> None:
    arguments = _arguments()
    kills = arguments.kills // len(WAYS)
    chance = random.Random(arguments.seed)
    plans = {way: [VICTIMS[n % len(VICTIMS)] for n in range(kills)] for way in WAYS}
    for victims in plans.values():
        chance.shuffle(victims)
    fits: dict[str, Any] = {}
    for way, victims in plans.items():
        mode, frequency = way.split("/")
        settings = {"mode": mode, "frequency": frequency, "epochs": epochs_for(kills)}
        fits[way] = _torture(settings, victims, seed=chance.randrange(1000))
    expected = _in_peace(plans)
    for way, result in fits.items():
        rows = result.pop("rows")
        result["all_rows"] = rows == [[ROWS // 2] * 2] * epochs_for(kills)
        result["same_weights"] = result.pop("weights") == expected.get(way)
        print(way, result["all_rows"], result["same_weights"])
    path = write_result("torture", describe("torture", vars(arguments)) | {"fits": fits})
    print(path)
    lost = [
        way
        for way, result in fits.items()
        if not result["all_rows"] or (way in expected and not result["same_weights"])
    ]
    if lost:
        sys.exit(f"something was lost: {', '.join(lost)}")


def _torture(settings: dict[str, Any], victims: list[str], *, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "fit").mkdir()
        (Path(folder) / "cluster").mkdir()
        with standalone(
            Path(folder) / "cluster",
            driver=Host(),
            workers=[Host(), Host()],
            cores=1,
            settings={},
        ) as cluster:
            torture = Torture(cluster, Path(folder) / "fit", settings)
            result, kills = torture.run(victims, seed)
    for kill in kills:
        print(settings["mode"], settings["frequency"], kill.as_dict(), flush=True)
    return {**result, "kills": [kill.as_dict() for kill in kills]}


def _in_peace(plans: dict[str, list[str]]) -> dict[str, str]:
    """Return the digest of the weights of the undisturbed synchronous fits."""
    with spark_session(master="local[2]") as spark:
        return {
            way: fit(
                frame(spark),
                {
                    "mode": "synchronous",
                    "frequency": way.split("/")[1],
                    "epochs": epochs_for(len(victims)),
                },
                pause=False,
            )["weights"]
            for way, victims in plans.items()
            if way.startswith("synchronous")
        }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=40, help="deaths in all")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
