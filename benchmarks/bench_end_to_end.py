"""Whole jobs, from the start of a process to its metrics, on photo-like PNGs of 1024 x 1024.

    python benchmarks/bench_end_to_end.py [--images 300 2000] [--repeats 2]
        [--distributor] [--classic] [--pictures FOLDER] [--add]

Each contender is a process of its own that reads the files, trains the CNN of the
published experiment for ten epochs, 128 rows a step, and prints the accuracy on the
images held back:

- glasses_spark: `glasses-spark train`, with an empty pixel store, in float32 and bfloat16;
- glasses_spark, store filled: the same again;
- keras: `image_dataset_from_directory`, decoded once and cached, and `fit`, in one process;
- distributor (--distributor, in the first round only): spark-tensorflow-distributor over
  Parquet that Spark writes;
- classic (--classic, on the smallest count only; minutes): Elephas as shipped, the way of
  most notebooks: a UDF a row, vectors of doubles, `orderBy(rand)`, everything cached.

What is compared are the seconds to that figure; ours goes on to write a report, the
model and the predictions, and all of its seconds are given as well.

Small runs of ours come first, until the class archive is there that a machine in use has.
Seconds, processor seconds and peak memory are those of the process and of all that it
starts. More images than there are pictures are hard links to them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from alternatives import ANSWER, EPOCHS
from environment import describe, has_class_archive, read_result, write_result
from pictures import photo_like_png
from process_tree import Usage, run_watched

PICTURES = 300
# The second run on a machine writes the class archive, the third uses it.
WARM_UP_RUNS, WARM_UP_IMAGES = 3, 40
KERAS = "keras, one process"
DISTRIBUTOR = "spark-tensorflow-distributor"
CLASSIC = "classic notebook, Elephas as shipped"


def main() -> None:
    arguments = _arguments()
    settings = {key: value for key, value in vars(arguments).items() if key != "pictures"}
    result = describe("end_to_end", {**settings, "epochs": EPOCHS})
    table: dict[str, dict[str, Any]] = {}
    if arguments.add:
        table = read_result("end_to_end")["table"]
    with tempfile.TemporaryDirectory(dir=arguments.pictures) as folder:
        pictures = arguments.pictures or Path(folder, "pictures")
        _draw(pictures, min(PICTURES, max(arguments.images)))
        _warm_up(pictures, Path(folder, "warm-up"))
        for images in arguments.images:
            place = Path(folder, str(images))
            _lay_out(pictures, place, images)
            found = _race(arguments, place, images)
            table[str(images)] = _rows(found)
            print(json.dumps(table[str(images)], indent=1), flush=True)
    table = dict(sorted(table.items(), key=lambda row: int(row[0])))
    print(write_result("end_to_end", result | {"table": table}))


def _race(arguments: argparse.Namespace, place: Path, images: int) -> dict[str, list[Usage]]:
    contenders = _ours(place) | {KERAS: _alternative("keras", place)}
    if arguments.distributor:
        contenders[DISTRIBUTOR] = _alternative("distributor", place)
    found: dict[str, list[Usage]] = {}
    for number in range(arguments.repeats):
        for name, command in contenders.items():
            if name == DISTRIBUTOR and number:
                continue
            if not name.endswith("store filled"):
                shutil.rmtree(place / "store", ignore_errors=True)
            found.setdefault(name, []).append(_measured(name, command, place))
    if arguments.classic and images == min(arguments.images):
        found[CLASSIC] = [_measured(CLASSIC, _alternative("classic", place), place)]
    return found


def _ours(place: Path) -> dict[str, list[str]]:
    settings = {
        "data.images": place / "faces",
        "data.labels": place / "labels.csv",
        "run.dir": place / "run",
        "store.dir": place / "store",
        "training.epochs": EPOCHS,
    }
    ours = [str(Path(sys.executable).with_name("glasses-spark")), "train"]
    for key, value in settings.items():
        ours += ["--set", f"{key}={value}"]
    return {
        "glasses_spark": ours,
        "glasses_spark, store filled": ours,
        "glasses_spark, bfloat16": [*ours, "--set", "training.precision=bfloat16"],
    }


def _alternative(name: str, place: Path) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("alternatives.py")), name, str(place)]


def _measured(name: str, command: list[str], place: Path) -> Usage:
    usage = run_watched(command, folder=place, answer=ANSWER)
    print(name, usage.as_dict(), usage.output.splitlines()[-1:], flush=True)
    if usage.code:
        reasons = [line for line in usage.errors.splitlines() if "Error" in line]
        print(f"{name} failed:", *reasons[-8:], sep="\n", file=sys.stderr)
    return usage


def _warm_up(pictures: Path, place: Path) -> None:
    _lay_out(pictures, place, WARM_UP_IMAGES)
    for _ in range(1 if has_class_archive() else WARM_UP_RUNS):
        _measured("warm-up", _ours(place)["glasses_spark"], place)


def _rows(found: dict[str, list[Usage]]) -> dict[str, Any]:
    def median(each: list[dict[str, Any]], key: str) -> float | None:
        values = [one[key] for one in each if key in one]
        return round(statistics.median(values), 1) if values else None

    keras = median([usage.as_dict() for usage in found[KERAS]], "answer_s")
    rows = {}
    for name, usages in found.items():
        each = [usage.as_dict() for usage in usages]
        row: dict[str, Any] = {key: median(each, key) for key in ("answer_s", *each[0])}
        # What failed gave no figure: so long it took to fail.
        row["times_as_long_as_keras"] = round((row["answer_s"] or row["seconds"]) / keras, 2)
        row["failed"] = any(usage.code for usage in usages)
        rows[name] = row
    return rows


def _draw(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    wanted = [number for number in range(count) if not (folder / f"{number}.png").exists()]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_draw_one, [(folder, number) for number in wanted], chunksize=8))


def _draw_one(task: tuple[Path, int]) -> None:
    folder, number = task
    (folder / f"{number}.png").write_bytes(photo_like_png(1024, number))


def _lay_out(pictures: Path, place: Path, images: int) -> None:
    """The same files for Spark, by number, and for Keras, by class."""
    files = sorted(pictures.glob("*.png"))
    for name in ("faces", "classes/0", "classes/1"):
        (place / name).mkdir(parents=True)
    lines = ["index,label"]
    for number in range(images):
        source = files[number % len(files)]
        os.link(source, place / "faces" / f"face-{number}.png")
        os.link(source, place / "classes" / str(number % 2) / f"face-{number}.png")
        lines.append(f"{number},{number % 2}.0")
    (place / "labels.csv").write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[300, 2000])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--distributor", action="store_true", help=f"also {DISTRIBUTOR}, once")
    parser.add_argument("--classic", action="store_true", help="also the classic way, once")
    parser.add_argument(
        "--pictures", type=Path, help="folder that keeps the pictures for another time"
    )
    parser.add_argument(
        "--add", action="store_true", help="leave other counts of images in the result file"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
