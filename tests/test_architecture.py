"""The house rules, held by one file: who may import what, no cycles, nothing too long, every module says what it guarantees."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIMIT_FILE = 500
LIMIT_FUNCTION = 80

#: Library → the only places that may import it (path prefixes).
ONLY_IN = {
    "gradio": ("wizards/", "app.py"),
    "duckdb": ("studio/data/",),
    "sqlite3": ("studio/store/",),
    "torch": ("studio/engine/", "studio/runs/", "studio/compare/generate"),
    "peft": ("studio/engine/",),
    "transformers": ("studio/engine/", "studio/models"),
    "tinker": ("studio/runs/", "studio/compare/generate", "studio/publish/", "studio/models", "studio/engine/"),
    "tinker_cookbook": ("studio/runs/", "studio/compare/generate", "studio/publish/", "studio/models", "studio/engine/"),
}

TOP_LEVEL = {
    *("pyproject.toml", "studio", "wizards", "assets", "tests", "app.py"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "requirements.txt", "constraints.txt"),
    *(".ci", ".gitignore", ".gitattributes"),
}


def product_files() -> list[Path]:
    return sorted([*(ROOT / "studio").rglob("*.py"), *(ROOT / "wizards").rglob("*.py"), ROOT / "app.py"])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path, *, top_only: bool = False) -> set[str]:
    body = ast.walk(tree_of(path)) if not top_only else iter(tree_of(path).body)
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def modules() -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in product_files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_rooms(library: str):
    offenders = [
        name_of(path)
        for path in product_files()
        if any(one == library or one.startswith(f"{library}.") for one in imports_of(path))
        and not name_of(path).startswith(ONLY_IN[library])
    ]
    assert not offenders


def test_the_domain_knows_nothing_of_its_pages():
    for path in (ROOT / "studio").rglob("*.py"):
        for one in imports_of(path):
            assert one.split(".")[0] not in {"gradio", "wizards"}, name_of(path)


def test_steps_never_import_each_other():
    steps = {"choose", "data", "settings", "train", "compare", "verdict"}
    for step in steps:
        path = ROOT / "wizards" / f"{step}.py"
        others = {f"wizards.{other}" for other in steps - {step}}
        assert path.is_file()
        assert not others & imports_of(path), name_of(path)


def test_imports_form_no_cycle():
    known = modules()
    graph = {name: _modules_meant(imports_of(path, top_only=True), known) - {name} for name, path in known.items()}
    _assert_no_cycle(graph, "modules")


def _modules_meant(imported: set[str], known: dict[str, Path]) -> set[str]:
    """`from room import module` means the module, not the room's ``__init__``."""
    packages = {one.rpartition(".")[0] for one in imported if one in known}
    return {one for one in imported if one in known and one not in packages}


def test_rooms_form_no_cycle():
    known = modules()

    def room(module: str) -> str:
        return ".".join(module.split(".")[:2])

    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        targets = {room(one) for one in imports_of(path) if one in known}
        graph.setdefault(room(name), set()).update(targets - {room(name), "studio"})
    _assert_no_cycle(graph, "rooms")


def _assert_no_cycle(graph: dict[str, set[str]], what: str) -> None:
    done: set[str] = set()

    def visit(node: str, path: tuple[str, ...]) -> None:
        assert node not in path, f"cycle of {what}: {' → '.join([*path[path.index(node) :], node])}"
        if node in done:
            return
        for other in sorted(graph.get(node, ())):
            visit(other, (*path, node))
        done.add(node)

    for start in sorted(graph):
        visit(start, ())


@pytest.mark.parametrize("path", product_files(), ids=name_of)
def test_a_module_is_short_and_says_what_it_guarantees(path: Path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LIMIT_FILE, f"{name_of(path)} has {lines} lines"
    assert ast.get_docstring(tree_of(path)), f"{name_of(path)} has no docstring"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LIMIT_FUNCTION, f"{name_of(path)}:{node.lineno} {node.name} has {length} lines"


def test_the_top_level_is_fixed():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert {line.split("/")[0] for line in listed.stdout.splitlines()} <= TOP_LEVEL


def test_no_module_is_named_utils():
    assert not [name_of(path) for path in product_files() if re.search(r"util|helper|misc", path.stem)]


def test_heavy_libraries_are_not_paid_for_by_the_terminal():
    heavy = {"torch", "tinker", "tinker_cookbook", "transformers", "peft", "gradio", "pandas", "datasets"}
    code = f"import sys, studio.cli; [verb.load() for verb in studio.cli.VERBS]; print(*sorted({heavy!r} & set(sys.modules)))"
    shown = subprocess.run([str(_python()), "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == []


def _python() -> Path:
    import sys

    return Path(sys.executable)
