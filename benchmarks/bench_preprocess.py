"""Seconds to fill and to reuse the pixel store, compared with bare decoding processes.

    python benchmarks/bench_preprocess.py [--pictures 500] [--entries 5000] [--workers 2]

Uses photo-like PNG files of 1024 x 1024, 1.2 to 1.6 MB. In turns: as many bare Python
processes as Spark has workers, each of which decodes its share of the files with the same
function, with default memory settings and with those of Spark's workers; and listing, join,
decoding and writing of a new store in a running Spark. Then a store of ``entries`` images
(hard links) is filled and opened again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from environment import describe, write_result
from glasses_spark import Config, GlassesPipeline
from glasses_spark.preprocessing.decoding.batches import configure_worker
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.runtime.session import spark_session
from pictures import photo_like_png

BARE, SETTLED, OURS = "bare processes", "bare processes, memory set up", "prepare, cold store"

# Different pictures. The other files are hard links to them.
PICTURES = 50


def main() -> None:
    arguments = _arguments()
    with (
        tempfile.TemporaryDirectory() as folder,
        # Dedicated to decoding, because earlier work changes how a process allocates memory.
        ProcessPoolExecutor(arguments.workers) as bare_pool,
        ProcessPoolExecutor(arguments.workers, initializer=configure_worker) as settled_pool,
        spark_session(master=f"local[{arguments.workers}]") as spark,
    ):
        faces, links = Path(folder, "faces"), Path(folder, "links")
        faces.mkdir()
        links.mkdir()
        drawn = min(PICTURES, arguments.pictures)
        with ProcessPoolExecutor(arguments.workers) as pool:
            list(pool.map(_draw, [(faces, n) for n in range(drawn)], chunksize=8))
        for number in range(drawn, arguments.pictures):
            os.link(faces / f"face-{number % drawn}.png", faces / f"face-{number}.png")
        files = sorted(faces.iterdir())
        _label(Path(folder, "labels.csv"), max(arguments.pictures, arguments.entries))
        for number in range(arguments.entries):
            os.link(files[number % len(files)], links / f"face-{number}.png")
        shares = [files[n :: arguments.workers] for n in range(arguments.workers)]
        seconds: dict[str, list[float]] = {BARE: [], SETTLED: [], OURS: []}
        for number in range(arguments.repeats + 1):  # the first round is a warm-up
            for name, pool in ((BARE, bare_pool), (SETTLED, settled_pool)):
                start = time.perf_counter()
                list(pool.map(_decode, shares))
                seconds[name].append(time.perf_counter() - start)
            seconds[OURS].append(
                _prepare(spark, faces, Path(folder), f"store-{number}", len(files))
            )
            print({name: round(times[-1], 2) for name, times in seconds.items()}, flush=True)
        filled = _prepare(spark, links, Path(folder), "store-links", arguments.entries)
        warm = [_prepare(spark, links, Path(folder), "store-links", 0) for _ in range(3)]
        print({"filled": filled, "warm": warm})
    bare, settled, ours = (statistics.median(times[1:]) for times in seconds.values())
    result = describe("preprocess", vars(arguments)) | {
        "bare_images_per_second": round(arguments.pictures / bare, 1),
        "settled_images_per_second": round(arguments.pictures / settled, 1),
        "ours_images_per_second": round(arguments.pictures / ours, 1),
        "ratio_to_bare": round(bare / ours, 3),
        "ratio_to_settled": round(settled / ours, 3),
        "fill_s": {
            str(arguments.pictures): round(ours, 2),
            str(arguments.entries): round(filled, 2),
        },
        "warm_store_s": round(statistics.median(warm), 2),
        "seconds": seconds,
    }
    path = write_result("preprocess", result)
    print({key: value for key, value in result.items() if key != "seconds"}, path)


def _prepare(spark: Any, images: Path, folder: Path, store: str, decoded: int) -> float:
    config = Config.from_dict(
        {
            "data": {"images": str(images), "labels": str(folder / "labels.csv")},
            "store": {"dir": str(folder / store)},
        }
    )
    start = time.perf_counter()
    done = GlassesPipeline(config).prepare(spark)
    seconds = time.perf_counter() - start
    if done.decoded != decoded:
        raise SystemExit(f"decoded {done.decoded} images, expected {decoded}")
    return seconds


def _draw(task: tuple[Path, int]) -> None:
    folder, number = task
    (folder / f"face-{number}.png").write_bytes(photo_like_png(1024, number))


def _decode(files: list[Path]) -> int:
    return sum(len(decode(path.read_bytes()).tobytes()) for path in files)


def _label(path: Path, rows: int) -> None:
    lines = [f"{number},{number % 2}.0" for number in range(rows)]
    path.write_text("\n".join(["index,label", *lines]) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
