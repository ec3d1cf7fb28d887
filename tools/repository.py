"""Change the repository's address everywhere: `make repository SLUG=owner/name`.

It stands in pyproject.toml, under [project.urls]; badges, links and install lines repeat it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+")
ADDRESS = re.compile(r'^Repository = "https://github\.com/([^"]+)"$', re.MULTILINE)
FILES = (
    "*.md",
    "*.toml",
    ".github/workflows/*.yml",
    "benchmarks/*.py",
    "blg561/**/*.py",
    "data/*.md",
    "docs/*.md",
    "notebooks/*.ipynb",
)


def slug(root: Path = ROOT) -> str:
    """owner/name of the repository, as pyproject.toml has it."""
    return ADDRESS.search((root / "pyproject.toml").read_text(encoding="utf-8")).group(1)


def rewrite(new: str, root: Path = ROOT) -> list[Path]:
    """Put `new` where the present owner/name stands in an address; return the files changed."""
    host = r"(github\.com/|/github/|raw\.githubusercontent\.com/)"
    end_of_name = r"(?![\w-]|\.(?!git\b)\w)"
    old = re.compile(host + re.escape(slug(root)) + end_of_name)
    changed = []
    for path in sorted(path for pattern in FILES for path in root.glob(pattern)):
        text = path.read_bytes().decode("utf-8")
        replaced = old.sub(rf"\g<1>{new}", text)
        if replaced != text:
            path.write_bytes(replaced.encode("utf-8"))
            changed.append(path)
    return changed


def main() -> int:
    new = sys.argv[1] if len(sys.argv) == 2 else ""
    if not SLUG.fullmatch(new):
        print(
            f"Expected an address like owner/name, got {new!r}: make repository SLUG=owner/name",
            file=sys.stderr,
        )
        return 2
    old = slug()
    changed = rewrite(new)
    for path in changed:
        print(f"{path.relative_to(ROOT)}: {old} -> {new}")
    if not changed:
        print(f"The address is {new} already.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
