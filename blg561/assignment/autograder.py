"""The archive that Gradescope asks for.

    python -m blg561.assignment.autograder        # writes build/autograder.zip

It holds the package without its lessons, networks and history, the book where it is at hand, the
settings, and a seed of its own: nobody knows the numbers that are drawn before they are.
"""

from __future__ import annotations

import secrets
import sys
import zipfile
from pathlib import Path

from blg561.assignment import settings
from blg561.assignment.handout import PACKAGE
from blg561.language_model import books

SETUP = """#!/usr/bin/env bash
# Gradescope runs this once, when the image is built.
set -euo pipefail
apt-get update
apt-get install -y python3-venv util-linux
python3 -m venv /opt/grader
/opt/grader/bin/pip install --index-url https://download.pytorch.org/whl/cpu torch
/opt/grader/bin/pip install numpy matplotlib pooch tqdm
# what grades must not be readable by what is graded, which runs as another user
chmod -R go-rwx /autograder/source
"""
RUN = """#!/usr/bin/env bash
# Gradescope runs this for each submission.
set -euo pipefail
cd /autograder/source
export PYTHONPATH=/autograder/source BLG561_DATA=/autograder/source/data
/opt/grader/bin/python -m blg561 grade /autograder/submission --out /autograder/source/graded \\
    --settings assignment.toml --seed "$(cat seed.txt)"
cp /autograder/source/graded/submission/results.json /autograder/results/results.json
"""
SOURCES = (
    "*.py",
    "commands/*.py",
    "assignment/*",
    "assignment/templates/*",
    "layer/*.py",
    "language_model/*.py",
)


def write(path: Path, said_in: Path = settings.DEFAULT) -> Path:
    """Write the archive to `path`. Raises InputError for settings that cannot be used."""
    said = settings.load(said_in)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (("setup.sh", SETUP), ("run_autograder", RUN)):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, text)
        archive.writestr("seed.txt", str(secrets.randbits(128)))
        archive.write(said_in, "assignment.toml")
        for pattern in SOURCES:
            for source in sorted(PACKAGE.glob(pattern)):
                if source.is_file():
                    archive.write(source, f"blg561/{source.relative_to(PACKAGE)}")
        if "LM" in said["parts"]:
            book = books.find(said["book"])
            archive.write(book, f"data/{book.name}")
    return path


if __name__ == "__main__":
    print(write(Path("build/autograder.zip"), *map(Path, sys.argv[1:])))
