"""Tests of the documentation: public names, imports, links, navigation, examples, the site."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pyspark.sql import SparkSession

import glasses_spark
from tests.paths import ROOT

DOCS: Final = ROOT / "docs"
API: Final = DOCS / "api.md"
FROM_ELEPHAS: Final = DOCS / "from-elephas.md"
SITE_PAGES: Final = sorted(DOCS.glob("*.md"))
PAGES: Final = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *SITE_PAGES]

FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PYTHON: Final = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A stylesheet, font, script or picture that a browser would load from another host.
REMOTE: Final = re.compile(r'<(?:link|script|img)\b[^>]*\b(?:src|href)="(?:https?:)?//')


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose_of(page: Path) -> str:
    """The text of a page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def slugs_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    slugs: set[str] = set()
    repeated: Counter[str] = Counter()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", prose_of(page), re.MULTILINE):
        text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        slugs.add(f"{slug}-{repeated[slug]}" if repeated[slug] else slug)
        repeated[slug] += 1
    return slugs


def relative_links_of(page: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`", "", prose_of(page))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def code_of(page: Path) -> list[str]:
    """The Python of a page or a notebook, block by block."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return PYTHON.findall(text)
    cells = json.loads(text)["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def imported_from_the_package(code: str) -> Iterator[tuple[str, str]]:
    """Each import of this library: the module and the name, which is empty for a module."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            imported = [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            imported = [(alias.name, "") for alias in node.names]
        else:
            continue
        yield from (one for one in imported if one[0].split(".")[0] == "glasses_spark")


def api_sections() -> dict[str, str]:
    """The text below each heading of the API page that is a name."""
    text = API.read_text(encoding="utf-8")
    parts = re.split(r"^#{2,6} (.+)$", text, flags=re.MULTILINE)
    headed = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {
        heading.strip("`"): body
        for heading, body in headed.items()
        if re.fullmatch(r"`\w+`", heading)
    }


def documented_errors() -> dict[str, str]:
    """The errors in the table of the API page, each with its base."""
    text = API.read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+Error)` \| `(\w+)` \|", text, re.MULTILINE))


def documented_signatures() -> dict[str, inspect.Signature]:
    """The signatures in the indented blocks of the API page, by dotted name."""
    found: dict[str, inspect.Signature] = {}
    for block in re.findall(r"(?:^ {4}.*\n)+", prose_of(API), re.MULTILINE):
        # A signature goes on in the lines that are indented further.
        for text in re.findall(r"^\S.*\n(?: .*\n)*", textwrap.dedent(block), re.MULTILINE):
            name, _, rest = text.strip().partition("(")
            # Annotations stay text: their classes are not public.
            code = f"from __future__ import annotations\ndef documented({rest}: ..."
            names: dict[str, Any] = {}
            exec(compile(code, f"signature of {name}", "exec"), names)
            found[name] = inspect.signature(names["documented"])
    return found


def public(name: str) -> Any:
    """The object with a dotted name below the package."""
    found: Any = glasses_spark
    for part in name.split("."):
        found = getattr(found, part)
    return found


def shape_of(signature: inspect.Signature) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults of the parameters, without types."""
    return [
        (one.name, one.kind, one.default)
        for one in signature.parameters.values()
        if one.name != "self"
    ]


def test_every_public_name_is_documented_and_nothing_else() -> None:
    documented = api_sections().keys() | documented_errors().keys()
    assert documented == set(glasses_spark.__all__)


def test_every_public_name_but_an_error_has_an_example() -> None:
    for name, section in api_sections().items():
        examples = PYTHON.findall(section)
        assert any(re.search(rf"\b{name}\b", code) for code in examples), name


def test_errors_are_documented_with_their_bases() -> None:
    for name, base in documented_errors().items():
        error = getattr(glasses_spark, name)
        assert issubclass(error, Exception)
        assert error.__base__.__name__ == base


@pytest.mark.slow  # imports TensorFlow
def test_the_documented_signatures_are_those_of_the_source() -> None:
    documented = documented_signatures()
    assert {name.partition(".")[0] for name in documented} == api_sections().keys()
    for name, signature in documented.items():
        actual = inspect.signature(public(name))
        assert shape_of(signature) == shape_of(actual), name


@pytest.mark.parametrize("page", [*PAGES, DOCS / "notebook.ipynb"], ids=name_of)
def test_pages_import_public_names_from_the_package_alone(page: Path) -> None:
    for code in code_of(page):
        for module, name in imported_from_the_package(code):
            assert module == "glasses_spark", f"{name_of(page)}: {module}"
            assert name in {"", *glasses_spark.__all__}, f"{name_of(page)}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_and_anchor_of_a_page_resolves(page: Path) -> None:
    for target in relative_links_of(page):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{name_of(page)}: {target}"
        if anchor:
            assert anchor in slugs_of(file), f"{name_of(page)}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_row_of_a_table_is_closed(page: Path) -> None:
    for line in page.read_text().splitlines():
        assert not line.startswith("| ") or line.endswith(" |"), line


def test_the_names_that_the_architecture_sends_readers_to_are_in_their_files() -> None:
    text = (DOCS / "architecture.md").read_text()
    places = re.findall(r"`([\w/]+\.py)`: ([^|]+)\|", text)
    found = {path: re.findall(r"`(\w+)`", rest) for path, rest in places}
    assert len(found) > 4
    for path, names in found.items():
        source = (ROOT / "src/glasses_spark" / path).read_text()
        assert all(re.search(rf"\b{name}\b", source) for name in names), (path, names)


def test_the_navigation_of_the_site_lists_every_page_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- .+: ([\w./-]+\.md)$", text, re.MULTILINE)
    assert sorted(listed) == [page.name for page in SITE_PAGES]


@pytest.mark.slow
def test_the_examples_of_the_api_page_run_from_top_to_bottom(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    try:
        for number, code in enumerate(code_of(API), start=1):
            exec(compile(code, f"docs/api.md, block {number}", "exec"), names)
    finally:
        spark.catalog.clearCache()

    # Of the 24 faces 9 have no label.
    assert names["dataset"].account.used == 15
    assert names["train"].count() + names["test"].count() == 15
    assert names["metrics"].rows == names["predictions"].count()
    assert (tmp_path / "runs" / "api" / "metrics.json").is_file()


@pytest.mark.slow
def test_the_examples_of_the_page_for_users_of_elephas_run(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, code in enumerate(code_of(FROM_ELEPHAS), start=1):
        exec(compile(code, f"docs/from-elephas.md, block {number}", "exec"), names)
    assert len(names["spark_model"].training_histories[-1]["val_loss"]) == 2


def test_the_page_for_users_of_elephas_lists_every_public_name() -> None:
    spec = importlib.util.find_spec("elephas")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    (folder,) = map(Path, spec.submodule_search_locations)
    found = {
        (node.name, ".".join(["elephas", *path.relative_to(folder).with_suffix("").parts]))
        for path in folder.rglob("*.py")
        for node in module_level(ast.parse(path.read_text(encoding="utf-8")))
    }
    rows = re.findall(
        r"^\| `(\w+)` \| `(elephas[\w.]*)` \| .{5,} \|$", FROM_ELEPHAS.read_text(), re.MULTILINE
    )
    assert sorted(rows) == sorted(found)


def module_level(tree: ast.AST) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """The public classes and functions of a module, also those that a condition defines."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            if not node.name.startswith("_"):
                yield node
        else:
            yield from module_level(node)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_remote(tmp_path: Path) -> None:
    site = tmp_path / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    for page in SITE_PAGES:
        built = (site / page.name).with_suffix(".html").read_text(encoding="utf-8")
        assert not REMOTE.search(built), page.name
