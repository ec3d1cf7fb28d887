"""What `pip install` puts in place, and what the language model is imported without.

It is not one of the plain tests, so its name keeps it out of `pytest tests`; `make test` runs it.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from test_packaging import FIGURES, POSIX_ONLY, run_without

import blg561

ROOT = Path(__file__).resolve().parents[1]


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(tmp_path):
    source = tmp_path / "source"  # setuptools writes beside what it builds
    shutil.copytree(ROOT / "blg561", source / "blg561")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--wheel-dir", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    folder = ROOT / "blg561"
    files = (path for path in folder.rglob("*") if path.is_file())
    wanted = {path.relative_to(ROOT).as_posix() for path in files}
    assert held == {name for name in wanted if "__pycache__" not in name}
    assert f"-{blg561.__version__}-" in wheel.name


def test_the_language_model_needs_nothing_that_draws():
    run_without(FIGURES | POSIX_ONLY - {"posix"}, ["blg561.language_model", "blg561.__main__"])
