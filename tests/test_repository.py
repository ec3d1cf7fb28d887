"""The files around the package agree with each other, and make does what it says."""

import os
import re
import shutil
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tools import repository

ROOT = Path(__file__).resolve().parents[1]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def pinned(text: str) -> dict[str, Version]:
    """Name → version of every `name==version` in a text."""
    return {
        name.lower(): Version(version)
        for name, version in re.findall(r"(?<![\w.-])([\w.-]+)==([\w.]+)", text)
    }


def lower_bounds() -> dict[str, Requirement]:
    pyproject = tomllib.loads(read("pyproject.toml"))
    project = pyproject["project"]
    extras = project["optional-dependencies"].values()
    lines = chain(pyproject["build-system"]["requires"], project["dependencies"], *extras)
    bounds = {requirement.name: requirement for requirement in map(Requirement, lines)}
    del bounds["blg561"]  # an extra that contains another
    return bounds


# Versions


def test_requirements_pins_exactly_what_pyproject_names():
    lines = [line for line in read("requirements.txt").splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), lines
    assert pinned("\n".join(lines)).keys() == lower_bounds().keys()


def test_every_pinned_version_is_within_the_bounds_of_pyproject():
    bounds = lower_bounds()
    for name, version in pinned(read("requirements.txt")).items():
        assert version in bounds[name].specifier, f"{name}=={version}, {bounds[name]}"


def test_pyproject_has_lower_bounds_only():
    for requirement in lower_bounds().values():
        assert [bound.operator for bound in requirement.specifier] == [">="], str(requirement)


def test_conda_users_get_the_versions_of_requirements():
    from_conda, from_pip = read("environment.yml").split("dependencies:\n")[1].split("- pip:\n")
    assert re.fullmatch(r"\s*- python=3\.\d+\s*- pip\s*", from_conda), "pip brings the versions"
    assert from_pip.split("\n") == ["      - -r requirements.txt", "      - -e .", ""]


# Style


def test_docstrings_have_no_underlined_sections():
    """They are prose, and `name: meaning` lines, as in blg561/layer/layer.py."""
    underlined = re.compile(
        r"^ *(?:Parameters|Returns|Raises|Notes|Examples)\n *-{3,}", re.MULTILINE
    )
    for folder in ("blg561", "tools", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not underlined.search(path.read_text(encoding="utf-8")), path


# The repository's address

OURS = re.compile(
    r"(?:colab\.research\.google\.com/github/|git\+https://github\.com/"
    r"|git clone (?:--\S+ )*https://github\.com/|github\.com/(?=[\w.-]+/[\w.-]+/actions/))"
    r"([\w-]+/[\w-]+(?:\.(?!git\b)[\w-]+)*)"
)


def test_every_badge_and_install_line_has_the_address_of_pyproject():
    slug = repository.slug()
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
    for path in [*pages, *ROOT.glob("notebooks/*.ipynb")]:
        others = set(OURS.findall(path.read_text(encoding="utf-8"))) - {slug}
        assert not others, f"{path.name}: {others}, but pyproject.toml has {slug}"


PYPROJECT = '[project.urls]\nRepository = "https://github.com/old-owner/old.name"\n'
ADDRESSES = """
[badge](https://colab.research.google.com/github/old-owner/old.name/blob/main/a.ipynb)
pip install "git+https://github.com/old-owner/old.name.git@main"
git clone https://github.com/old-owner/old.name.
https://github.com/old-owner/old.name/actions/workflows/ci.yml/badge.svg
"""
NOT_OURS = """
https://github.com/old-owner/old.name-extra https://github.com/old-owner/old.names
https://github.com/old-owner/old.name.io https://github.com/very-old-owner/old.name
old-owner/old.name
"""


def test_changing_the_address_reaches_every_file_and_nothing_else(tmp_path):
    names = ("README.md", "CONTRIBUTING.md", "docs/index.md", "notebooks/01.ipynb")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(ADDRESSES + NOT_OURS)

    assert len(repository.rewrite("new/it", tmp_path)) == 5

    assert repository.slug(tmp_path) == "new/it"
    expected = ADDRESSES.replace("old-owner/old.name", "new/it") + NOT_OURS
    for name in names:
        assert (tmp_path / name).read_text() == expected


def test_every_kind_of_our_own_address_is_recognised():
    assert OURS.findall(ADDRESSES) == ["old-owner/old.name"] * 4
    assert not OURS.findall("see https://github.com/pytorch/examples")


# make and the checks

FAKE_PYTHON = """#!/bin/sh
# Stands for python: makes a .venv with itself in it, and writes down what pip is asked to do.
case "$*" in
    *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"-m pip install"*) echo "$*" >> pip.log; [ ! -e no_network ] ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A copy of the Makefile and its two lists, with a python that installs nothing."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "fake-python"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return tmp_path


def install(checkout: Path) -> tuple[bool, bool]:
    """Run make for the stamp of .venv: whether it succeeded, and whether it called pip."""
    (checkout / "pip.log").unlink(missing_ok=True)
    command = ["make", "PYTHON=./fake-python", ".venv/installed"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    result = subprocess.run(command, cwd=checkout, capture_output=True, env=environment)
    return result.returncode == 0, (checkout / "pip.log").exists()


def test_make_installs_once(checkout):
    assert install(checkout) == (True, True)
    assert install(checkout) == (True, False)


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_make_installs_again_when_a_list_says_something_else(checkout, name):
    install(checkout)
    past = (checkout / ".venv/installed").stat().st_mtime + 10
    os.utime(checkout / name, (past, past))
    assert install(checkout) == (True, False), "a new time is no change"
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    os.utime(checkout / name, (past + 10, past + 10))
    assert install(checkout) == (True, True)


def test_a_failed_install_is_tried_again(checkout):
    (checkout / "no_network").touch()
    assert install(checkout) == (False, True)
    assert not (checkout / ".venv/installed").exists()
    (checkout / "no_network").unlink()
    assert install(checkout) == (True, True)


@pytest.mark.parametrize("given", [None, "elsewhere"])
def test_ci_points_the_lessons_to_the_books_beside_the_checkout(tmp_path, given):
    (tmp_path / "shared/books").mkdir(parents=True)
    (tmp_path / "repo/.ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", tmp_path / "repo/.ci")
    make = tmp_path / "bin/make"
    make.parent.mkdir()
    make.write_text('#!/bin/sh\necho "$* $PWD $BLG561_DATA"\n')
    make.chmod(0o755)

    environment = {"PATH": f"{make.parent}:{os.environ['PATH']}"}
    if given:
        environment["BLG561_DATA"] = given
    result = subprocess.run(
        [tmp_path / "repo/.ci/run"], env=environment, capture_output=True, text=True, check=True
    )

    books = given or tmp_path / "shared/books"
    assert result.stdout == f"test {tmp_path / 'repo'} {books}\n"


def test_make_test_runs_every_file_of_tests():
    """Those that `pytest tests` does not collect are named, helpers left out."""
    helpers = {"conftest", "editions", "layer_reference", "made_submissions"}
    names = {path.stem for path in (ROOT / "tests").glob("*.py")}
    longer = {name for name in names if not name.startswith("test_")} - helpers
    assert set(re.findall(r"tests/(\w+)\.py", read("Makefile"))) == longer
