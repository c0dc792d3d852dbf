"""Time and memory of whole jobs, from the start of a process to its exit.

    python benchmarks/bench_end_to_end.py [--images 300 2000] [--repeats 2] [--torch]
        [--distributor] [--classic] [--pictures FOLDER] [--add]

Each contender is a process of its own that reads photo-like PNG files of 1024 x 1024, trains
the CNN of the published experiment for ten epochs with 128 rows per step, and prints the test
metrics:

- glasses_spark: `glasses-spark train` with an empty pixel store, in float32 and bfloat16;
- glasses_spark, store filled: the same with the pixels of the run before;
- keras: `image_dataset_from_directory`, cached, and `fit` in one process;
- pytorch (--torch): `ImageFolder` of torchvision and a `DataLoader` of two processes, which decode
  each picture again in each epoch;
- pytorch, cached, bfloat16 (--torch): the same pictures decoded once, and training in bfloat16;
- distributor (--distributor, first round only): spark-tensorflow-distributor over Parquet
  that Spark writes;
- classic (--classic, smallest number of images only; takes minutes): Elephas as shipped, as
  in most notebooks: a UDF for each row, vectors of doubles, `orderBy(rand)`, everything
  cached.

The compared time ends when the process has ended: ours writes a report, the model and the
predictions after its test metrics, the others write nothing. The time to the test metrics is listed
as well.

A small warm-up run comes first. Seconds, CPU seconds and peak memory include all child
processes. Images beyond the number of pictures are hard links to them.
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
# The second run on a machine writes the class archive, and the third one uses it.
WARM_UP_RUNS, WARM_UP_IMAGES = 3, 40
KERAS = "keras, one process"
TORCH = "pytorch, ImageFolder"
TORCH_CACHED = "pytorch, cached, bfloat16"
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
        draw_pictures(pictures, min(PICTURES, max(arguments.images)))
        warm_up(pictures, Path(folder, "warm-up"))
        for images in arguments.images:
            root = Path(folder, str(images))
            lay_out(pictures, root, images)
            table[str(images)] = _rows(_race(arguments, root, images))
            print(json.dumps(table[str(images)], indent=1), flush=True)
    table = dict(sorted(table.items(), key=lambda row: int(row[0])))
    print(write_result("end_to_end", result | {"table": table}))


def _race(arguments: argparse.Namespace, root: Path, images: int) -> dict[str, list[Usage]]:
    contenders = our_commands(root) | {KERAS: _alternative("keras", root)}
    if arguments.torch:
        contenders[TORCH] = _alternative("torch", root)
        contenders[TORCH_CACHED] = _alternative("torch-cached", root)
    if arguments.distributor:
        contenders[DISTRIBUTOR] = _alternative("distributor", root)
    usages: dict[str, list[Usage]] = {}
    for number in range(arguments.repeats):
        for name, command in contenders.items():
            if name == DISTRIBUTOR and number:
                continue
            if not name.endswith("store filled"):
                shutil.rmtree(root / "store", ignore_errors=True)
            usages.setdefault(name, []).append(_measured(name, command, root))
    if arguments.classic and images == min(arguments.images):
        usages[CLASSIC] = [_measured(CLASSIC, _alternative("classic", root), root)]
    return usages


def our_commands(root: Path) -> dict[str, list[str]]:
    settings = {
        "data.images": root / "faces",
        "data.labels": root / "labels.csv",
        "run.dir": root / "run",
        "store.dir": root / "store",
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


def _alternative(name: str, root: Path) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("alternatives.py")), name, str(root)]


def _measured(name: str, command: list[str], root: Path) -> Usage:
    usage = run_watched(command, folder=root, answer=ANSWER)
    print(name, usage.as_dict(), usage.output.splitlines()[-1:], flush=True)
    if usage.code:
        reasons = [line for line in usage.errors.splitlines() if "Error" in line]
        print(f"{name} failed:", *reasons[-8:], sep="\n", file=sys.stderr)
    return usage


def warm_up(pictures: Path, root: Path) -> None:
    lay_out(pictures, root, WARM_UP_IMAGES)
    for _ in range(1 if has_class_archive() else WARM_UP_RUNS):
        _measured("warm-up", our_commands(root)["glasses_spark"], root)


def _rows(usages_by_name: dict[str, list[Usage]]) -> dict[str, Any]:
    def median(runs: list[dict[str, Any]], key: str) -> float | None:
        values = [run[key] for run in runs if key in run]
        return round(statistics.median(values), 1) if values else None

    keras = median([usage.as_dict() for usage in usages_by_name[KERAS]], "seconds")
    rows = {}
    for name, usages in usages_by_name.items():
        runs = [usage.as_dict() for usage in usages]
        row: dict[str, Any] = {key: median(runs, key) for key in ("answer_s", *runs[0])}
        # A failed run has the time until it failed.
        row["times_as_long_as_keras"] = round(row["seconds"] / keras, 2)
        row["failed"] = any(usage.code for usage in usages)
        rows[name] = row
    return rows


def draw_pictures(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    wanted = [number for number in range(count) if not (folder / f"{number}.png").exists()]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_draw_one, [(folder, number) for number in wanted], chunksize=8))


def _draw_one(task: tuple[Path, int]) -> None:
    folder, number = task
    (folder / f"{number}.png").write_bytes(photo_like_png(1024, number))


def lay_out(pictures: Path, root: Path, images: int) -> None:
    """Link the files by number for Spark and by class for Keras."""
    files = sorted(pictures.glob("*.png"))
    for name in ("faces", "classes/0", "classes/1"):
        (root / name).mkdir(parents=True)
    lines = ["index,label"]
    for number in range(images):
        source = files[number % len(files)]
        os.link(source, root / "faces" / f"face-{number}.png")
        os.link(source, root / "classes" / str(number % 2) / f"face-{number}.png")
        lines.append(f"{number},{number % 2}.0")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[300, 2000])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument(
        "--torch", action="store_true", help="also run PyTorch, from the extra bench"
    )
    parser.add_argument("--distributor", action="store_true", help=f"also run {DISTRIBUTOR} once")
    parser.add_argument("--classic", action="store_true", help="also run the classic notebook once")
    parser.add_argument("--pictures", type=Path, help="folder that keeps the pictures for later")
    parser.add_argument(
        "--add", action="store_true", help="keep other numbers of images in the result file"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
