"""Names of files in processes whose locale is not UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faces import noise_png, write_faces, write_labels

OWN_SESSION = """
import sys
from pyspark.sql import SparkSession
from glasses_spark import load_dataset
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
print(load_dataset(spark, *sys.argv[1:]).unlisted)
spark.stop()
"""


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, str]:
    names = [*(f"Gesicht ä 顔-{n}.png" for n in range(6)), *(f"{n}.png" for n in range(6, 12))]
    folder = write_faces(tmp_path / "faces", {n: noise_png(seed=i) for i, n in enumerate(names)})
    with open(os.fsencode(folder) + b"/caf\xe9-12.png", "wb") as file:
        file.write(noise_png())
    return str(folder), str(write_labels(tmp_path / "l.csv", {n: float(n % 2) for n in range(13)}))


def run(*command: str, folder: Path, locale: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": locale}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )


@pytest.mark.rotated
@pytest.mark.parametrize("locale", ["xx_YY.not-installed", "C"])
def test_a_command_sees_all_files_whatever_the_locale(
    data: tuple[str, str], tmp_path: Path, locale: str
) -> None:
    images, labels = data
    settings = [f"data.images={images}", f"data.labels={labels}", "store.dir=pixels"]
    settings += ["image.height=16", "image.width=16", "data.max_bad_fraction=0.5"]
    options = [word for setting in settings for word in ("--set", setting)]

    done = run("-m", "glasses_spark", "prepare", *options, folder=tmp_path, locale=locale)

    assert "13 images, 12 decoded now, 0 before; 1 in quarantine (1 name_not_utf8)" in done.stdout
    assert "Account of 13 files: " in done.stderr
    assert r"caf\xe9-12.png" in done.stderr


@pytest.mark.rotated
def test_files_that_a_session_of_the_user_does_not_see_are_named(
    data: tuple[str, str], tmp_path: Path
) -> None:
    done = run("-c", OWN_SESSION, *data, folder=tmp_path, locale="C")

    assert done.stdout.count("Reason.NOT_LISTED") == 6
    assert done.stdout.count("Reason.NAME_NOT_UTF8") == 1
