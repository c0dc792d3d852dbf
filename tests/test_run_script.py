"""Tests for ./run, the script that sets up .venv.

The script is the real one. Python is replaced by a stub that records its calls,
because creating an environment takes minutes and a network connection.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.paths import ROOT

TOOLS = [
    "sh",
    "awk",
    "cat",
    "cksum",
    "cp",
    "date",
    "df",
    "dirname",
    "find",
    "flock",
    "grep",
    "mkdir",
    "readlink",
    "rm",
    "sed",
    "sleep",
    "tail",
    "wc",
]

# The Python that creates .venv. VERSION and VENV are placeholders.
OUTER_PYTHON = """\
#!/bin/sh
case "$*" in
    *version_info*) echo VERSION ;;
    *"import ensurepip"*) VENV ;;
    "-m venv "*)
        echo "venv" >>"$CALLS"
        mkdir -p "$3/bin" "$3/lib/pythonVERSION"
        cp "$STUBS/inner" "$3/bin/python"
        cp "$STUBS/glasses-spark" "$3/bin/glasses-spark"
        ;;
esac
"""

# The Python in .venv, without uv. The test controls what pip does.
INNER_PYTHON = """\
#!/bin/sh
case "$*" in
    *version_info*) echo 3.11 ;;
    "-m pip install"*" uv") exit 1 ;;
    "-m pip install"*)
        echo "pip ${*##*--editable }" >>"$CALLS"
        [ -z "${PIP_PAUSE:-}" ] || sleep "$PIP_PAUSE"
        echo "${PIP_SAYS:-installed}"
        exit "${PIP_STATUS:-0}"
        ;;
    *find_java*) grep -q java] "$CALLS" || [ -n "${JAVA:-}" ] ;;
    "-m pytest"* | "-m mkdocs"*) shift; printf '<%s>' "$@"; echo " in $PWD" ;;
esac
"""

GLASSES_SPARK = """\
#!/bin/sh
printf '<%s>' glasses-spark "$@"
echo " in $PWD"
exit "${COMMAND_STATUS:-0}"
"""


class Machine:
    """A folder with the project's script, and a PATH that has only the listed commands."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "my project"
        self.elsewhere = folder / "elsewhere"
        self.commands = folder / "commands"
        self.calls = folder / "calls"
        for path in (self.project, self.elsewhere, self.commands, folder / "stubs"):
            path.mkdir()
        self.calls.write_text("")
        for name in ("run", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.project)
        for tool in TOOLS:
            location = shutil.which(tool)
            if location:
                (self.commands / tool).symlink_to(location)
        write_command(folder / "stubs" / "inner", INNER_PYTHON)
        write_command(folder / "stubs" / "glasses-spark", GLASSES_SPARK)
        self.environment = {
            "PATH": str(self.commands),
            "CALLS": str(self.calls),
            "STUBS": str(folder / "stubs"),
            "JAVA": "yes",
        }

    def add_python(self, name: str, version: str, *, venv: bool = True) -> Path:
        text = OUTER_PYTHON.replace("VERSION", version).replace("VENV", "true" if venv else "false")
        return write_command(self.commands / name, text)

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.project / "run"), *arguments],
            cwd=self.elsewhere,
            env=self.environment | extra,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **extra)
        stdout, stderr = process.communicate(timeout=30)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def installs(self) -> list[str]:
        text = self.calls.read_text().replace(str(self.project), "ROOT")
        return text.splitlines()


def write_command(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def ready(machine: Machine) -> Machine:
    """A machine on which an earlier call has set up .venv."""
    machine.add_python("python3", "3.11")
    assert machine.run("doctor").returncode == 0
    return machine


def test_help_sets_up_nothing(machine: Machine) -> None:
    result = machine.run("--help")

    assert result.returncode == 0
    assert result.stdout.startswith("Usage: ./run ")
    assert not (machine.project / ".venv").exists()


@pytest.mark.parametrize(
    ("pythons", "message"),
    [
        ({}, "run: found no Python; Python 3.11 or 3.12 is required"),
        ({"python3": "3.13"}, "run: found python3 (3.13); Python 3.11 or 3.12 is required"),
        (
            {"python3.11": "3.10", "python3": "3.9"},
            "run: found python3.11 (3.10), python3 (3.9); Python 3.11 or",
        ),
    ],
)
def test_without_a_supported_python_the_error_names_what_was_found_and_what_to_do(
    machine: Machine, pythons: dict[str, str], message: str
) -> None:
    for name, version in pythons.items():
        machine.add_python(name, version)

    result = machine.run()

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(message)
    assert "PYTHON=/path/to/python3.12 ./run" in result.stderr


def test_a_python_without_the_venv_module_fails_with_the_install_command(machine: Machine) -> None:
    machine.add_python("python3", "3.11", venv=False)

    result = machine.run()

    assert result.returncode == 1
    assert "run: python3 has no venv module" in result.stderr
    assert "apt install python3-venv" in result.stderr


def test_a_python_command_that_does_not_run_is_skipped(machine: Machine) -> None:
    write_command(machine.commands / "python3.12", "#!/bin/sh\necho 'not found' >&2\nexit 127\n")
    machine.add_python("python3.11", "3.11")

    result = machine.run("doctor")

    assert result.returncode == 0
    assert result.stdout == f"<glasses-spark><doctor> in {machine.elsewhere}\n"


@pytest.mark.parametrize(
    ("version", "message"), [("3.13", "is Python 3.13"), (None, "does not run")]
)
def test_an_unusable_python_in_the_variable_fails_instead_of_choosing_another(
    machine: Machine, version: str | None, message: str
) -> None:
    machine.add_python("python3", "3.11")
    chosen = machine.commands / "chosen"
    if version:
        machine.add_python("chosen", version)

    result = machine.run(PYTHON=str(chosen))

    assert result.returncode == 1
    assert f"run: PYTHON={chosen} {message}; Python 3.11 or 3.12 is required." in result.stderr


def test_another_python_in_the_variable_creates_a_new_environment(ready: Machine) -> None:
    chosen = ready.add_python("chosen", "3.12")

    assert ready.run("doctor", PYTHON=str(chosen)).returncode == 0
    assert ready.installs() == ["venv", "pip ROOT[all,docs,test]"] * 2
    assert not (ready.project / ".venv" / "lib" / "python3.11").exists()


def test_the_command_gets_the_folder_and_arguments_of_the_caller_and_returns_its_status(
    ready: Machine,
) -> None:
    result = ready.run("train", "--set", "run.dir=my runs", COMMAND_STATUS="2")

    assert result.stdout == (
        f"<glasses-spark><train><--set><run.dir=my runs> in {ready.elsewhere}\n"
    )
    assert result.returncode == 2


def test_a_second_call_installs_nothing_and_prints_nothing(ready: Machine) -> None:
    installs = ["venv", "pip ROOT[all,docs,test]"]
    assert ready.installs() == installs

    result = ready.run("doctor")

    assert result.stderr == ""
    assert ready.installs() == installs


def test_java_is_installed_only_if_none_is_found(machine: Machine) -> None:
    machine.add_python("python3", "3.11")

    result = machine.run("doctor", JAVA="")

    assert result.returncode == 0
    assert machine.installs() == ["venv", "pip ROOT[all,docs,test]", "pip ROOT[all,docs,test,java]"]


@pytest.mark.parametrize(
    ("pip_says", "message"),
    [
        (
            "ERROR: Could not find a version that satisfies the requirement elephas==7.3.0",
            "run: the packages could not be downloaded. Check the network connection.",
        ),
        ("OSError: [Errno 28] No space left on device", "run: the disk is full: "),
        ("error: metadata-generation-failed", "run: run again to retry."),
    ],
)
def test_a_failed_install_shows_the_output_of_pip_and_the_next_call_starts_anew(
    machine: Machine, pip_says: str, message: str
) -> None:
    machine.add_python("python3", "3.11")

    result = machine.run("doctor", PIP_SAYS=pip_says, PIP_STATUS="1")

    assert result.returncode == 1
    assert result.stdout == ""
    assert f"     | {pip_says}\n" in result.stderr
    assert message in result.stderr

    # The remains of an interrupted install are discarded.
    assert machine.run("doctor").returncode == 0
    assert machine.installs() == ["venv", "pip ROOT[all,docs,test]"] * 2


def test_new_pins_are_installed_into_the_same_environment(ready: Machine) -> None:
    with (ready.project / "constraints.txt").open("a") as file:
        file.write("another==1.0\n")

    assert ready.run("doctor").returncode == 0
    assert ready.installs() == ["venv", "pip ROOT[all,docs,test]", "pip ROOT[all,docs,test]"]


def test_moving_the_project_repeats_the_set_up(ready: Machine) -> None:
    ready.project = ready.project.rename(ready.project.with_name("moved"))

    assert ready.run("doctor").returncode == 0
    assert ready.installs()[2:] == ["venv", "pip ROOT[all,docs,test]"]


def test_an_environment_created_by_the_user_is_extended_not_replaced(machine: Machine) -> None:
    stubs = Path(machine.environment["STUBS"])
    binaries = machine.project / ".venv" / "bin"
    binaries.mkdir(parents=True)
    shutil.copy(stubs / "inner", binaries / "python")
    shutil.copy(stubs / "glasses-spark", binaries / "glasses-spark")
    (binaries / "theirs").write_text("")

    assert machine.run("doctor").returncode == 0
    assert machine.installs() == ["pip ROOT[all,docs,test]"]
    assert (binaries / "theirs").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("flock") is None, reason="requires flock (util-linux)")
def test_two_simultaneous_first_calls_set_up_once(machine: Machine) -> None:
    machine.add_python("python3", "3.11")
    first = machine.start("doctor", PIP_PAUSE="1")
    while "pip" not in machine.calls.read_text():
        assert first.poll() is None
        time.sleep(0.02)

    second = machine.run("doctor")

    assert first.wait(timeout=30) == second.returncode == 0
    assert "Waiting for another ./run" in second.stderr
    assert machine.installs() == ["venv", "pip ROOT[all,docs,test]"]
    for pipe in (first.stdout, first.stderr):
        assert pipe is not None
        pipe.close()


def test_the_tests_run_in_the_folder_of_the_project(ready: Machine) -> None:
    result = ready.run("test", "-k", "a b")

    assert result.stdout == f"<pytest><-k><a b> in {ready.project}\n"


def test_the_fast_tests_exclude_slow_and_exhaustive_ones(ready: Machine) -> None:
    result = ready.run("test", "fast", "-q")

    parallel = "<-n><2><--dist><loadfile><--no-loadscope-reorder>"
    selected = "<-m><not slow and not exhaustive>"
    assert result.stdout == f"<pytest>{parallel}{selected}<-q> in {ready.project}\n"


def test_docs_are_built_in_strict_mode_in_the_folder_of_the_project(ready: Machine) -> None:
    result = ready.run("docs", "--site-dir", "elsewhere")

    assert result.stdout == (
        f"<mkdocs><build><--strict><--site-dir><elsewhere> in {ready.project}\n"
    )


def test_the_demo_draws_missing_faces_and_then_trains(ready: Machine) -> None:
    (ready.project / "labels.csv").write_text("index,label\n1,0.0\n2,1.0\n")
    draw = f"<glasses-spark><draw-faces><--config><configs/demo.toml> in {ready.project}\n"
    train = f"<glasses-spark><train><--config><configs/demo.toml> in {ready.project}\n"
    faces = ready.project / "faces"
    faces.mkdir()

    (faces / "face-1.png").write_text("")
    assert ready.run().stdout == draw + train
    (faces / "face-2.png").write_text("")
    assert ready.run().stdout == train


def test_the_demo_stops_if_drawing_fails(ready: Machine) -> None:
    (ready.project / "labels.csv").write_text("index,label\n1,0.0\n")

    result = ready.run(COMMAND_STATUS="1")

    assert result.returncode == 1
    assert "train" not in result.stdout
