"""Tests for glasses_spark.datasets.kaggle.fetch, with Kaggle's real client against a server on loopback."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from glasses_spark.datasets.kaggle.download import MAX_FAILURES, PIECE
from glasses_spark.datasets.kaggle.fetch import MANIFEST, fetch_labels
from glasses_spark.errors import LabelsError
from glasses_spark.runtime.progress import Progress
from tests.datasets.kaggle.kaggle_server import (
    BY_KEY,
    BY_TOKEN,
    DATASET,
    KEY,
    LABELS_URL,
    SIGNATURE,
    TOKEN,
    Fault,
    KaggleServer,
    serving,
)
from tests.faces import noise_png

FACES = {f"face-{number}.png": noise_png(200, 200, seed=number) for number in (1, 2, 3)}
TABLE = {"train.csv": b"id,glasses\n1,0\n"}
FILES = {**FACES, **TABLE}
LABELS = b"index,label\n1,1.0\n2,0.0\n3,\n"


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


ARCHIVE = zipped(
    {
        **{f"faces-spring-2020/faces-spring-2020/{name}": FACES[name] for name in FACES},
        **TABLE,
        "notes.txt": b"not taken",
        "__MACOSX/._face-1.png": b"not taken",
    }
)
HALF = 2 * PIECE
assert len(ARCHIVE) > 5 * PIECE


class Fetcher:
    """Calls ``fetch_dataset`` in another process, where Kaggle is the server's."""

    def __init__(self, server: KaggleServer, home: Path) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if "KAGGLE" not in name},
            "HOME": str(home),
            # It must not print what it sends, even so.
            "VERBOSE": "true",
            **server.environment,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.datasets.kaggle.fetch_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        )

    def __call__(
        self,
        folder: Path,
        environment: Mapping[str, str] = BY_KEY,
        *,
        dataset: str = DATASET,
        archive: Path = Path("none.zip"),
        keep: Path | None = None,
    ) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        call = {
            "dataset": dataset,
            "folder": str(folder),
            "environment": dict(environment),
            "archive": str(archive),
            "keep": str(keep) if keep else None,
        }
        print(json.dumps(call), file=self.process.stdin, flush=True)
        said = self.process.stdout.readline()
        for secret in (KEY, TOKEN, SIGNATURE):
            assert secret not in said
        answer: dict[str, Any] = json.loads(said)
        return answer


@pytest.fixture(scope="module")
def kaggle() -> Iterator[KaggleServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def fetcher(kaggle: KaggleServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetcher]:
    one = Fetcher(kaggle, tmp_path_factory.mktemp("home"))
    yield one
    with one.process:
        pass


@pytest.fixture(autouse=True)
def _offer(kaggle: KaggleServer) -> None:
    kaggle.reset(ARCHIVE, LABELS)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def refused(answer: dict[str, Any]) -> str:
    """The message of a refusal: one line, at level of the family of errors."""
    assert answer["error"] == "FetchError"
    assert "\n" not in answer["message"]
    return str(answer["message"])


def test_images_and_tables_lie_side_by_side_with_a_manifest_that_sha256sum_reads(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    answer = fetcher(tmp_path / "faces")

    assert contents(tmp_path / "faces") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]
    assert (answer["files"], answer["fresh"]) == (4, 4)
    assert answer["size"] == sum(map(len, FILES.values()))
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--status", MANIFEST],
        cwd=tmp_path / "faces",
        check=True,
    )
    (download, unpacking) = answer["shown"]
    assert (download[1], download[2][0], download[2][-1]) == (len(ARCHIVE), 0, len(ARCHIVE))
    assert unpacking[1:] == [4, [1, 2, 3, 4]]


def test_a_second_call_asks_nobody_and_changes_nothing(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    fetcher(tmp_path / "faces")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    kaggle.asked.clear()

    answer = fetcher(tmp_path / "faces", {})

    assert (answer["files"], answer["fresh"]) == (4, 0)
    assert kaggle.asked == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_what_a_call_left_that_was_killed_at_the_very_end_is_cleared_away(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    fetcher(tmp_path / "faces")
    (tmp_path / ".faces.fetch").mkdir()
    (tmp_path / ".faces.fetch" / "archive.zip").write_bytes(ARCHIVE)
    kaggle.asked.clear()

    assert fetcher(tmp_path / "faces", keep=tmp_path / "kept.zip")["fresh"] == 0

    assert kaggle.asked == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "kept.zip"]


def test_files_that_are_gone_or_cut_short_are_noticed_and_those_that_are_gone_come_back(
    fetcher: Fetcher, tmp_path: Path
) -> None:
    folder = tmp_path / "faces"
    fetcher(folder)
    (folder / "face-2.png").unlink()

    again = fetcher(folder)

    assert (again["files"], again["fresh"]) == (4, 1)
    assert contents(folder) == FILES
    (folder / "face-2.png").write_bytes(b"")
    message = refused(fetcher(folder))
    assert message.startswith(f"{folder}/face-2.png: found another file there")


def test_files_of_others_stay_and_those_that_are_there_already_are_left_alone(
    fetcher: Fetcher, tmp_path: Path
) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    (folder / "mine.txt").write_bytes(b"mine")
    (folder / "face-1.png").write_bytes(FACES["face-1.png"])

    answer = fetcher(folder)

    assert (answer["files"], answer["fresh"]) == (4, 3)
    assert contents(folder) == {**FILES, "mine.txt": b"mine"}


def test_a_lost_connection_is_taken_up_where_it_broke_off(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(cut=HALF), Fault(cut=PIECE)]

    answer = fetcher(tmp_path / "faces")

    assert kaggle.ranges == [None, f"bytes={HALF}-", f"bytes={HALF + PIECE}-"]
    assert answer["pauses"] == [2, 2]  # something came each time
    assert contents(tmp_path / "faces") == FILES


def test_an_address_that_has_expired_is_asked_for_anew(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(cut=HALF), Fault(status=403)]

    fetcher(tmp_path / "faces")

    assert kaggle.ranges == [None, f"bytes={HALF}-", f"bytes={HALF}-"]
    assert kaggle.asked.count("datasets.DatasetApiService/DownloadDataset") == 3
    assert contents(tmp_path / "faces") == FILES


def test_an_archive_that_changed_meanwhile_is_begun_anew(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(cut=HALF), *[Fault(status=503)] * MAX_FAILURES]
    assert "503" in refused(fetcher(tmp_path / "faces"))
    other = {"face-9.png": noise_png(seed=9), "face-8.png": noise_png(99, 99, seed=8)}
    kaggle.archive = zipped(other)

    fetcher(tmp_path / "faces")

    assert contents(tmp_path / "faces") == other


def test_too_many_requests_are_waited_out_as_long_as_kaggle_says(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.api_faults = [Fault(429, {"Retry-After": "7"}), Fault(429)]
    kaggle.storage_faults = [Fault(429, {"Retry-After": "86400"})]

    answer = fetcher(tmp_path / "faces")

    assert answer["pauses"] == [7, 4, 300]
    assert contents(tmp_path / "faces") == FILES


def test_a_server_that_stays_ill_is_given_up_and_what_came_is_kept(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(cut=HALF), *[Fault(status=503)] * MAX_FAILURES]

    answer = fetcher(tmp_path / "faces")

    assert answer["pauses"] == [2, 4, 8, 16]
    assert refused(answer).startswith(
        f"{DATASET}: the server answers 503 Service Unavailable, and that 5 times in a row."
    )
    assert not (tmp_path / "faces").exists()
    fetcher(tmp_path / "faces")
    assert kaggle.ranges[-1] == f"bytes={HALF}-"
    assert contents(tmp_path / "faces") == FILES


def test_a_download_with_another_checksum_than_the_server_says_is_not_used(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(damaged=True)]

    answer = fetcher(tmp_path / "faces")

    assert kaggle.ranges == [None, None]
    assert any("MD5" in line for line in answer["log"])
    assert contents(tmp_path / "faces") == FILES


@pytest.mark.parametrize(
    ("environment", "faults", "message"),
    [
        pytest.param(
            {},
            [],
            "Kaggle wants a credential (401), found none: run `kaggle auth login`, or make a token",
            id="no credential",
        ),
        pytest.param(
            {**BY_KEY, "KAGGLE_KEY": "wrong"},
            [],
            "Kaggle refuses the credential (401): run `kaggle auth login`, or make a token at",
            id="wrong key",
        ),
        pytest.param(
            {"KAGGLE_API_TOKEN": f"{TOKEN}\r\nX: y"},
            [],
            "the Kaggle credential, or what Kaggle answers, is malformed",
            id="token with a line break",
        ),
        pytest.param(BY_KEY, [Fault(403)], "Kaggle denies it (403): look at https://", id="403"),
        pytest.param(BY_KEY, [Fault(404)], "Kaggle has no such data set (404)", id="404"),
        pytest.param(BY_KEY, [Fault(418)], "Kaggle answers 418", id="anything else"),
    ],
)
def test_a_refusal_of_kaggles_is_one_line_that_says_what_to_do(
    kaggle: KaggleServer,
    fetcher: Fetcher,
    tmp_path: Path,
    environment: Mapping[str, str],
    faults: list[Fault],
    message: str,
) -> None:
    kaggle.api_faults = faults

    answer = fetcher(tmp_path / "faces", environment)

    assert refused(answer).startswith(f"{DATASET}: {message}")
    assert answer["pauses"] == []
    assert not (tmp_path / "faces").exists()


def test_a_token_is_a_credential_and_a_public_data_set_needs_none(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    assert fetcher(tmp_path / "token", BY_TOKEN)["fresh"] == 4
    kaggle.wants_credential = False
    assert fetcher(tmp_path / "none", {})["fresh"] == 4


def test_a_name_that_nobody_has_is_refused(fetcher: Fetcher, tmp_path: Path) -> None:
    answer = fetcher(tmp_path / "faces", dataset="nobody/nothing")
    assert "look at https://www.kaggle.com/datasets/nobody/nothing" in refused(answer)


def test_a_disk_that_is_too_small_is_named_before_anything_is_written(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(promised=10**15)]

    message = refused(fetcher(tmp_path / "faces"))

    assert message.startswith(f"{tmp_path}: found ")
    assert "GB free on this disk, wanted 2000000.3 GB for the zip file and the images" in message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_truncated_archive_is_named_and_does_not_come_back(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.archive = ARCHIVE[:HALF]

    message = refused(fetcher(tmp_path / "faces"))

    assert "not a whole zip archive" in message
    assert message.endswith("so it came from Kaggle, and was deleted. Fetch again")
    kaggle.archive = ARCHIVE
    fetcher(tmp_path / "faces")
    assert contents(tmp_path / "faces") == FILES


def test_a_hostile_archive_leaves_nothing_anywhere(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.archive = zipped({"face-1.png": FACES["face-1.png"], "../../face-2.png": b"out"})

    message = refused(fetcher(tmp_path / "a" / "faces"))

    assert "the entry '../../face-2.png' leads out of the folder" in message
    assert list(tmp_path.rglob("*.png")) == []


def test_an_archive_that_is_there_is_taken_in_place_of_a_download_and_stays(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    archive = tmp_path / "by-hand.zip"
    archive.write_bytes(ARCHIVE)

    fetcher(tmp_path / "faces", archive=archive)

    assert kaggle.asked == []
    assert contents(tmp_path / "faces") == FILES
    assert archive.read_bytes() == ARCHIVE
    archive.write_bytes(ARCHIVE[:HALF])
    message = refused(fetcher(tmp_path / "others", archive=archive))
    assert message.startswith(f"{archive}: not a whole zip archive")
    assert message.endswith("Delete it, and fetch again")
    assert archive.exists()


def test_a_downloaded_archive_is_kept_where_it_is_wanted(fetcher: Fetcher, tmp_path: Path) -> None:
    fetcher(tmp_path / "faces", keep=tmp_path / "faces.zip")
    assert (tmp_path / "faces.zip").read_bytes() == ARCHIVE


def test_two_calls_at_once_do_not_meet(fetcher: Fetcher, tmp_path: Path) -> None:
    work = tmp_path / ".faces.fetch"
    work.mkdir()
    handle = os.open(work, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert "another fetch is at work there" in refused(fetcher(tmp_path / "faces"))
    finally:
        os.close(handle)
    assert fetcher(tmp_path / "faces")["fresh"] == 4


def test_another_data_set_in_the_folder_is_refused(fetcher: Fetcher, tmp_path: Path) -> None:
    fetcher(tmp_path / "faces")
    message = refused(fetcher(tmp_path / "faces", dataset="ada/other-faces"))
    assert f"found the data set {DATASET} there, wanted ada/other-faces" in message


def command(folder: Path, *options: str) -> list[str]:
    settings = {
        "data.dataset": DATASET,
        "data.images": str(folder / "data" / "faces"),
        "data.labels": str(folder / "data" / "labels.csv"),
        "data.labels_url": LABELS_URL,
        "data.labels_sha256": hashlib.sha256(LABELS).hexdigest(),
    }
    pairs = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "glasses_spark", "fetch", *pairs, *options]


@contextmanager
def started(folder: Path, fetcher: Fetcher, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(folder, *options),
        env={**fetcher.environment, **BY_KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


@pytest.mark.slow
def test_a_killed_fetch_is_taken_up_by_the_next_and_a_third_has_nothing_to_do(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(stall=HALF)]
    part = tmp_path / "data" / ".faces.fetch" / "archive.zip.part"
    with started(tmp_path, fetcher) as process:
        assert kaggle.stalled.wait(60)
        # What was sent is on its way to the disk; a piece is written as it comes.
        while not part.exists() or part.stat().st_size < HALF:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    kept = part.stat().st_size
    assert not (tmp_path / "data" / "faces").exists()

    with started(tmp_path, fetcher, "--keep-zip") as process:
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert kaggle.ranges == [None, f"bytes={kept}-"]
    assert contents(tmp_path / "data" / "faces") == FILES
    assert (tmp_path / "data" / "labels.csv").read_bytes() == LABELS
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert names == {"faces", "labels.csv", "glasses-or-no-glasses.zip"}
    assert out.splitlines() == [
        f"{tmp_path}/data/labels.csv: already up to date",
        f"{tmp_path}/data/faces: 4 files, 0.00 GB; 4 fetched now",
    ]
    kaggle.asked.clear()
    with started(tmp_path, fetcher) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[1] == f"{tmp_path}/data/faces: 4 files, 0.00 GB; already complete"
    assert kaggle.asked == []


@pytest.mark.slow
def test_a_refusal_is_exit_code_1_and_not_even_debugging_shows_a_secret(
    kaggle: KaggleServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    kaggle.storage_faults = [Fault(404)]

    with started(tmp_path, fetcher, "--debug") as process:
        out, err = process.communicate(timeout=60)

    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert last.startswith(f"error: {DATASET}: the server answers 404 Not Found")
    assert "Traceback" in err
    for secret in (KEY, SIGNATURE, "Authorization"):
        assert secret not in out + err


def test_labels_come_once_and_are_checked_each_time(kaggle: KaggleServer, tmp_path: Path) -> None:
    path = tmp_path / "new" / "labels.csv"
    digest = hashlib.sha256(LABELS).hexdigest()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kaggle.environment.items():
            patch.setenv(name, value)

        assert fetch_labels(LABELS_URL, path, sha256=digest, counter=Progress().counter)
        assert path.read_bytes() == LABELS
        assert not fetch_labels(LABELS_URL, path, sha256=digest, counter=Progress().counter)
        path.unlink()
        other = digest[::-1]
        with pytest.raises(LabelsError, match=f"the SHA-256 {digest}, wanted {other}"):
            fetch_labels(LABELS_URL, path, sha256=other, counter=Progress().counter)
        kaggle.labels = b"<html>not found</html>"
        with pytest.raises(LabelsError, match="expected the header 'index,label'"):
            fetch_labels(LABELS_URL, path, sha256="", counter=Progress().counter)
    assert list(path.parent.iterdir()) == []
