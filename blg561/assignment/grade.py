"""Grading: submissions in, two at a time, and out a folder of results."""

from __future__ import annotations

import csv
import hashlib
import os
import reprlib
import secrets
import stat
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import torch
from tqdm import tqdm

from blg561.assignment import handout, language_model, layers, report, submission
from blg561.assignment.hand_in import wanted
from blg561.assignment.report import Graded
from blg561.assignment.sandbox import Failed, Sandbox
from blg561.assignment.scores import Mark
from blg561.errors import InputError
from blg561.language_model import books

LAYER_FILE, NOTEBOOK = "blg561/layer/recurrent_layers.py", "LanguageModelling.ipynb"
SECONDS_FOR_ANSWERS = 20


def grade_all(
    paths: list[Path], out: Path, said: dict, prose: Path | None = None, seed: int | None = None
) -> list[Graded]:
    """Grade every submission, write what `report` says to `out`, and give it back.

    said: the settings. prose: a CSV of points for the questions.
    seed: of what is drawn. Without one, the folder's own, drawn when it is first graded into, so
        that grading again gives the same points and nobody knows the numbers before.

    Each submission's own numbers depend on what it holds besides: what is said of one submission is
    no answer to what the next one, with a byte changed, is asked.

    Raises InputError, before anything is graded, for a submission that is not there or cannot be
    read, two of one name, a name that a file of the results has, a CSV that cannot be used, results
    that could not be written; BookError where the book is not to be had.
    """
    if sys.platform == "win32":
        raise InputError("grading needs Linux or macOS: Windows cannot limit a process as it does")
    check_names(paths, out)
    points = {} if prose is None else read_prose(prose, said, set(map(name_of, paths)))
    book = books.read_text(books.find(said["book"])) if "LM" in said["parts"] else ""
    check_place(out, paths)
    seed = own_seed(out) if seed is None else seed
    torch.set_num_threads(1)
    handout.package()  # once, before there are threads: Python 3.11 cannot parse in two at a time
    graded = []
    with ThreadPoolExecutor(2) as two:
        jobs = [two.submit(grade_one, path, said, seed, book, points) for path in paths]
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="submission", disable=None):
            graded.append(job.result())
            report.write_one(graded[-1], said, out)
    report.write_all(graded, said, out)
    return sorted(graded, key=lambda one: one.name)


def name_of(path: Path) -> str:
    path = Path(path).resolve()
    return path.stem if path.suffix == ".zip" else path.name


def check_names(paths: list[Path], out: Path):
    """Students choose names: none may take another's results away, or what is over all."""
    taken = {name: f"the grader's {name}" for name in ("grades.csv", "teacher.html", "seed.txt")}
    for path in paths:
        check_readable(path)
        name = name_of(path).casefold()  # some systems' files are the same in both cases
        if name in taken:
            raise InputError(
                f"{path} has the same name as {taken[name]}, so that their results would be one: "
                "rename it"
            )
        taken[name] = path
        if name in ("", ".", ".."):
            raise InputError(f"{path}: its results would have {name!r} for a folder: rename it")
        if os.path.realpath(out / name_of(path)) == os.path.realpath(path):
            raise InputError(f"the results of {path} would be written into it: give another --out")


def check_readable(path: Path):
    """What nobody may read is the teacher's to mend: the student would get 0 points for it."""
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            os.scandir(os.path.join(path, ".")).close()  # the dot, so that its files can be opened
        elif stat.S_ISREG(mode):
            open(path, "rb").close()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"there is no submission {path}") from None
    except OSError as error:
        raise InputError(f"the submission {path} cannot be read: {error.strerror}") from error


def check_place(out: Path, paths: list[Path]):
    """Make the folders of the results. Raises InputError now rather than after the grading."""
    folders = [out, *(out / name_of(path) for path in paths)]
    files = [out / "grades.csv", out / "teacher.html"]
    files += [folder / name for folder in folders[1:] for name in ("results.json", "page.html")]
    try:
        for place in folders:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                pass
        for place in filter(os.path.lexists, files):
            open(place, "ab").close()
    except FileExistsError:
        raise InputError(f"expected a folder for results, got a file: {place}") from None
    except OSError as error:
        raise InputError(f"results cannot be written to {place}: {error.strerror}") from error


def own_seed(out: Path) -> int:
    path = out / "seed.txt"
    try:
        if not path.exists():
            path.write_text(f"{secrets.randbits(128)}\n", encoding="utf-8")
            path.chmod(0o600)
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}, the file of the seed: {error.strerror}") from error
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"{path}: expected the seed, a whole number, got {reprlib.repr(text)}; without the "
            "file a new one is drawn"
        ) from None


def grade_one(path: Path, said: dict, seed: int, book: str, prose: dict) -> Graded:
    """One submission. Whatever goes wrong stays with it."""
    name = name_of(path)
    try:
        handed_in = submission.read(
            Path(path), wanted(said["parts"]), said["limits"]["submission_mib"]
        )
        graded = Graded(name, notes=handed_in.notes)
        with Sandbox(handed_in.files, said["limits"]) as sandbox:
            grade_parts(graded, sandbox, handed_in.files, said, seed_for(seed, handed_in), book)
            graded.force = sandbox.force
    except Exception:
        graded = Graded(name, notes=["The grader itself failed; your teacher has been told."])
        graded.flags = ["the grader failed: " + traceback.format_exc(limit=-3)]
    if "Q" in said["parts"]:
        graded.tests += judge_prose(graded, said, prose.get(name, {}))
    return graded


def seed_for(seed: int, handed_in: submission.Submission) -> int:
    """What is drawn for this submission: the same each time it is graded."""
    digest = hashlib.sha256(str(seed).encode())
    for name, content in sorted(handed_in.files.items()):
        digest.update(name.encode() + hashlib.sha256(content).digest())
    return int.from_bytes(digest.digest()[:16], "big")


def grade_parts(graded: Graded, sandbox, files: dict, said: dict, seed: int, book: str):
    seconds = said["limits"]["seconds_for_a_method"]
    for part in layers.CLASSES:
        if part not in said["parts"]:
            continue
        points = said["points"][part]
        if LAYER_FILE not in files:
            graded.tests.append(Mark(f"{part} layer", 0, sum(points.values()), "it is missing"))
            continue
        try:
            graded.tests += layers.grade(part, points, sandbox, seed, seconds)
        except Failed as failed:
            graded.tests.append(Mark(f"{part} layer", 0, sum(points.values()), str(failed)))
    sandbox.stop()
    if "LM" in said["parts"]:
        judge = language_model.grade(sandbox, said, seed, files, book)
        graded.tests += judge.tests
        graded.flags += judge.flags
        graded.notes += [f"not run: {fault}" for fault in judge.faults]
    if "Q" in said["parts"] and NOTEBOOK in files:
        try:
            graded.answers = read_answers(files[NOTEBOOK], said)
        except Failed as failed:
            graded.notes.append(f"the answers in {NOTEBOOK} could not be read: {failed}")
            graded.flags.append(f"read the answers in {NOTEBOOK} yourself")


def read_answers(notebook: bytes, said: dict) -> dict[str, str]:
    """The questions' answers: the cells that the handout tagged for them.

    In a process of its own that runs nothing of the submission: a notebook of 20 MiB can be made to
    take a gigabyte and half a minute, which other submissions would wait for.
    """
    questions = list(said["points"]["Q"])
    with Sandbox({NOTEBOOK: notebook}, said["limits"]) as sandbox:
        sandbox.start()
        path = sandbox.handed_in(NOTEBOOK)
        told, _ = sandbox.ask("read_answers", SECONDS_FOR_ANSWERS, path=path, count=len(questions))
    return {questions[int(number)]: str(text) for number, text in told["answers"].items()}


def judge_prose(graded: Graded, said: dict, points: dict) -> list[Mark]:
    tests = []
    for question, worth in said["points"]["Q"].items():
        if question in points:
            score, words = points[question], "read by your teacher"
        else:
            score, words = 0, "your teacher has not read it yet"
            if question not in graded.answers:
                words = "no answer is there"
        tests.append(Mark(f"Q {question}", score, worth, words))
    return tests


def read_prose(path: Path, said: dict, names: set[str]) -> dict[str, dict[str, float]]:
    """Points by submission and question. Raises InputError for a table that cannot be meant."""
    if "Q" not in said["parts"]:
        raise InputError(f"{path}: expected Q among the parts, got {', '.join(said['parts'])}")
    questions = said["points"]["Q"]
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a CSV of points: {error}") from error
    points, line_of = {}, {}
    for number, row in rows:
        name = (row.get("submission") or "").strip()
        if name not in names:
            raise InputError(f"{path}, line {number}: {name!r} is none of the submissions")
        if name in points:
            raise InputError(
                f"{path}: expected one line for {name!r}, got lines {line_of[name]} and {number}"
            )
        points[name], line_of[name] = {}, number
        for question, most in questions.items():
            text = (row.get(question) or "").strip()
            if not text:
                continue
            try:
                value = float(text)
            except ValueError:
                value = -1.0
            if not 0 <= value <= most:
                raise InputError(
                    f"{path}, line {number}: expected 0 to {most:g} points for {question}, "
                    f"got {text!r}"
                )
            points[name][question] = value
    return points
