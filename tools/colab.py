"""Rehearse the lessons as a reader has them in Colab: `make colab`.

In an environment of its own under build/, with the Python and the exact versions of
tools/colab.txt, the package comes from a wheel, and there is no checkout around the notebooks: only
they are copied, to an empty folder. There every cell is run and compared with its stored output.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ROOT / "tools/colab.txt"
ENVIRONMENT = ROOT / "build/colab"


class NoInterpreterError(Exception):
    """There is no Python of Colab's version here."""


def colab_python() -> str:
    """Colab's version of Python, 3.x, as tools/colab.txt says."""
    return re.search(r"Python (\d\.\d+)", VERSIONS.read_text(encoding="utf-8")).group(1)


def check_interpreter(python: str) -> None:
    """Raises NoInterpreterError when `python` does not run, or is another version than Colab's."""
    wanted = colab_python()
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        found = None
    if found != wanted:
        what = f"{python} is Python {found}" if found else f"{python} does not run"
        raise NoInterpreterError(
            f"Colab has Python {wanted} (tools/colab.txt), but {what}. "
            f"Install Python {wanted}, or name it: make colab COLAB_PYTHON=path/to/python{wanted}"
        )


def install(python: str) -> Path:
    """The environment's Python, with what tools/colab.txt pins; a changed file makes it anew."""
    binaries = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
    stamp = ENVIRONMENT / "installed"
    versions = VERSIONS.read_text(encoding="utf-8")
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != versions:
        print(f"==> Making build/colab with {python} (the first time takes minutes)", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        pip(binaries / "python", "install", "-r", VERSIONS)
        stamp.write_text(versions, encoding="utf-8")
    return binaries / "python"


def pip(python: Path | str, command: str, *arguments: Path | str) -> None:
    subprocess.run([python, "-m", "pip", command, "--quiet", *arguments], check=True)


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of its sources: setuptools would take up what an earlier build
    left beside them."""
    sources = folder / "sources"
    shutil.copytree(ROOT / "blg561", sources / "blg561")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, sources)
    return next(folder.glob("*.whl"))


def copy_lessons(folder: Path, lesson: str) -> Path:
    """A new folder with nothing but the notebooks; pytest's settings lie in the one above it."""
    notebooks = folder / "run/notebooks"
    notebooks.mkdir(parents=True)
    for path in sorted((ROOT / "notebooks").glob(f"{lesson}*.ipynb")):
        shutil.copy(path, notebooks)
    for name in ("pyproject.toml", "conftest.py", "tools/nbval-sanitize.cfg"):
        target = folder / "run" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    return notebooks


def rehearse(python: str, lesson: str) -> int:
    """The exit code of pytest, over all lessons whose names start with `lesson`."""
    check_interpreter(python)
    colab = install(python)
    with tempfile.TemporaryDirectory(prefix="blg561-colab-") as name:
        folder = Path(name)
        print("==> Building the wheel and installing it with --no-deps", flush=True)
        pip(colab, "install", "--no-deps", "--force-reinstall", build_wheel(folder))
        notebooks = copy_lessons(folder, lesson)
        print("==> pytest: every cell of every lesson, with Colab's versions", flush=True)
        # Neither this checkout nor the user's folders may lend the lessons a module.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "PYTHONNOUSERSITE": "1"}
        environment["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # no advice to those who debug
        command = [colab, "-m", "pytest", "-p", "no:cacheprovider", notebooks]
        return subprocess.run(command, cwd=notebooks.parent, env=environment).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", help="an interpreter of Colab's version")
    parser.add_argument("lesson", nargs="?", default="", help="how a lesson's name starts: 04")
    arguments = parser.parse_args()
    try:
        return rehearse(arguments.python, arguments.lesson)
    except NoInterpreterError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
