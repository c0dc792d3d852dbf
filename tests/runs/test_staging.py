"""Tests for glasses_spark.runs.staging: kills while results are written."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from glasses_spark.runs.new_folder import check_target, new_run_folder
from glasses_spark.runs.staging import recover
from glasses_spark.runtime.owned_folder import new_folder
from tests.mounts import needs_mounts, run_mounted
from tests.paths import ROOT
from tests.runs.killed_writes import write, write_run

MODULE = "tests.runs.killed_writes"
RUN = ["config.toml", "metrics.json", "model", "notes.txt"]


def check_each_kill(printed: str, *, beside: list[str], inside: list[str] = RUN) -> None:
    """Check that each kill has left the old or the new results, whole, and nothing else."""
    lines = printed.splitlines()
    assert len(lines) > 20
    latest = "old"
    for number, line in enumerate(lines, start=1):
        step, *found = line.split(" | ")
        texts, names, names_beside = map(ast.literal_eval, found)
        assert "mine" in texts, step
        (text,) = set(texts) - {"mine"}
        assert text in (latest, f"new {number}"), line
        latest = text
        assert names == inside, line
        assert names_beside == beside, line
    assert latest == f"new {len(lines)}"


@pytest.mark.parametrize("option", [[], ["--rename"]], ids=["exchange", "two renames"])
def test_a_kill_at_any_step_loses_nothing_and_leaves_nothing(
    tmp_path: Path, option: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", MODULE, str(tmp_path / "run"), *option],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    check_each_kill(done.stdout, beside=["run"])


@needs_mounts
def test_a_kill_at_any_step_loses_nothing_in_a_mount_point(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    program = f"import runpy; runpy.run_module({MODULE!r}, run_name='__main__')"
    printed = run_mounted(f"mount -t tmpfs x {tmp_path}/run", program, str(tmp_path / "run"))
    check_each_kill(printed, beside=["run"])


@needs_mounts
def test_a_folder_in_a_lower_layer_is_replaced_inside(tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "all"):
        (tmp_path / name).mkdir()
    write_run(tmp_path / "lower" / "run", "old")
    (tmp_path / "lower" / "run" / "notes.txt").write_text("mine")
    layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    program = (
        "from pathlib import Path; import sys; from tests.runs.killed_writes import write_run; "
        "run = Path(sys.argv[1]); write_run(run, 'new'); "
        "print(sorted(p.name for p in run.iterdir()), (run / 'metrics.json').read_text(), "
        "[p.name for p in run.parent.iterdir()])"
    )
    mount = f"mount -t overlay -o {layers} x {tmp_path}/all"
    printed = run_mounted(mount, program, str(tmp_path / "all" / "run"))
    assert printed == f"{RUN} new ['run']\n"


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    with new_run_folder(tmp_path / "run") as new:
        new.write_model(lambda folder: write(folder, "fitted"))
        before = sorted(tmp_path.rglob("*"))
        program = (
            "from pathlib import Path; import sys; from glasses_spark.runs.staging import recover; "
            "recover(Path(sys.argv[1]))"
        )
        subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], check=True)
        check_target(tmp_path / "run")
        assert sorted(tmp_path.rglob("*")) == before


def test_the_model_of_a_run_that_was_killed_after_its_fit_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = (
        "from pathlib import Path; import os, signal, sys\n"
        "from glasses_spark.runs.new_folder import new_run_folder\n"
        "from tests.runs.killed_writes import write\n"
        "with new_run_folder(Path(sys.argv[1])) as new:\n"
        "    new.write_model(lambda folder: write(folder, 'fitted'))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "run")], cwd=ROOT, check=False)
    assert not (tmp_path / "run").exists()

    check_target(tmp_path / "run")

    kept = tmp_path / "run-unfinished"
    assert [path.name for path in tmp_path.iterdir()] == ["run-unfinished"]
    assert (kept / "model" / "weights").read_text() == "fitted"
    assert f"{kept} has the fitted model of a run that was killed" in caplog.text


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (["old", "new"], "new"),
        (["old"], "old"),
        (["run", "old"], "run"),
        (["run", "new"], "run"),
    ],
)
def test_what_a_kill_of_an_earlier_version_left_is_restored_or_removed(
    tmp_path: Path, present: list[str], expected: str
) -> None:
    for name in present:
        folder = tmp_path / (name if name == "run" else f".run.1a2b3c4d.{name}")
        folder.mkdir()
        for file in ("config.toml", "metrics.json"):
            (folder / file).write_text(name)

    recover(tmp_path / "run")

    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "metrics.json").read_text() == expected


def test_folders_of_other_runs_are_left_alone(tmp_path: Path) -> None:
    for name in (".other.1a2b3c4d.new", ".runs.1a2b3c4d.new", "run.new", ".run.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text("")
    recover(tmp_path / "run")
    assert len(list(tmp_path.iterdir())) == 4


def test_a_staging_folder_of_a_stranger_replaces_no_folder_of_the_user(tmp_path: Path) -> None:
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "config.toml").write_text("mine")
    staged = new_folder(".thesis.", parent=tmp_path, suffix=".new")
    write_run(staged.path / "run", "theirs")
    (staged.path / "run" / ".bashrc").write_text("theirs")
    (staged.path / "state").write_text("0 moving new")
    (staged.path / ".owner").write_text("")
    os.utime(staged.path / ".owner", (0, 0))
    staged.release()
    recover(tmp_path / "run")
    assert [path.name for path in mine.iterdir()] == ["config.toml"]
    assert (mine / "config.toml").read_text() == "mine"


@pytest.mark.parametrize("with_run", [True, False])
def test_a_link_of_a_stranger_moves_nothing_of_the_user(tmp_path: Path, with_run: bool) -> None:
    documents = tmp_path / "documents"
    gift = tmp_path / "gift"
    for folder in (documents, gift):
        folder.mkdir()
    write_run(documents, "mine")
    if with_run:
        (gift / "run").mkdir()
    for name in (".run.1a2b3c4d.old", ".run.1a2b3c4d.new", ".run.5a2b3c4d.new"):
        (gift / name).symlink_to(documents)
    recover(gift / "run")
    assert (documents / "metrics.json").read_text() == "mine"
    assert not (gift / "run" / "metrics.json").exists()


def test_a_fitted_model_of_a_stranger_is_not_put_where_a_link_leads(tmp_path: Path) -> None:
    gift, home = tmp_path / "gift", tmp_path / "home"
    for folder in (gift, home):
        folder.mkdir()
    (gift / "other").symlink_to(home / "autostart")
    staged = new_folder(".other.", parent=gift, suffix=".new")
    (staged.path / "run" / "model").mkdir(parents=True)
    (staged.path / "state").write_text("0 fitted")
    (staged.path / ".owner").write_text("")
    os.utime(staged.path / ".owner", (0, 0))
    staged.release()
    recover(gift / "run")
    assert list(home.iterdir()) == []


def test_hidden_folders_of_the_user_are_left_alone(tmp_path: Path) -> None:
    for name in (".run.draft.new", ".run.2025-10.old", ".run.drafts_1.new", ".run.drafts_1.old"):
        (tmp_path / name / "notes").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    recover(tmp_path / "run")
    assert len(list(tmp_path.rglob("notes"))) == 4
