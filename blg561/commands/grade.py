"""`python -m blg561 grade`. What it runs is imported when it is called: help comes at once."""

from __future__ import annotations

from pathlib import Path


def add_to(add):
    parser = add(
        grade,
        "grade",
        "grade submissions of the assignment: folders and zip archives",
        "submissions/*.zip --out graded",
        "submissions/*.zip --out graded --prose points.csv",
    )
    parser.add_argument("submissions", metavar="SUBMISSION", nargs="+", type=Path)
    parser.add_argument(
        "--out", metavar="FOLDER", type=Path, default=Path("graded"), help="default: graded"
    )
    parser.add_argument(
        "--prose",
        metavar="CSV",
        type=Path,
        help="points for the answers: columns submission, Question 1, ...",
    )
    parser.add_argument(
        "--settings", metavar="TOML", type=Path, help="default: the package's assignment.toml"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, help="default: the one kept in FOLDER/seed.txt"
    )


def grade(arguments) -> int:
    from blg561.assignment import settings
    from blg561.assignment.grade import grade_all
    from blg561.assignment.report import plain

    said = settings.load(arguments.settings or settings.DEFAULT)
    out = arguments.out
    for graded in grade_all(arguments.submissions, out, said, arguments.prose, arguments.seed):
        print(f"{graded.score:6.2f}  {plain(graded.name)}")
    print(f"{out / 'grades.csv'}, {out / 'teacher.html'}, and a folder for each submission")
    return 0
