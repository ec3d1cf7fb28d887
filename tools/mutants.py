"""Does a test fail for every fault of tests/faults.py? `make mutants`.

Each fault is put into a copy of the checkout, alone, and the tests of its file run until one fails.
Two copies are worked on at a time. What came out is kept in build/mutants.json and holds as long as
the fault, its file and its tests stay as they are, so that an interrupted run goes on, and a second
one looks again only at what has changed.

mutmut and cosmic-ray make faults of every line by themselves, thousands of them, of which the
slowest tests here would see each for a minute: a list of faults that somebody might make is run in
half an hour, and says in words what would go unnoticed.
"""

import argparse
import hashlib
import itertools
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults import FAULTS, TESTS, Fault

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "build/mutants.json"
COPIED = ("blg561", "tests", "tools", "benchmarks", "results", "notebooks", "figures", "docs")
TIMES = itertools.count(1_000_000_000)
TIMEOUT = 600  # seconds: a fault that makes a loop endless is noticed, too
# Each is a fork of one that has imported what takes longest, and nothing of the package.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["hypothesis", "pytest", "torch", "torch._dynamo"])


def files_of(fault: Fault) -> list[str]:
    """The tests that have to notice it; "GRU: ..." is looked for in those of the GRU first."""
    first = fault.name.partition(":")[0].lower()
    names = sorted(TESTS[fault.file].split(), key=lambda name: name != first)
    plain = {name: f"tests/test_{name}.py" for name in names}
    return [path if (ROOT / path).exists() else f"tests/{name}.py" for name, path in plain.items()]


def fingerprint(fault: Fault) -> str:
    """Of all that decides what comes out: the fault, its file and its tests."""
    texts = [fault.old, fault.new, (ROOT / "blg561" / fault.file).read_text(encoding="utf-8")]
    texts += map(text_with_helpers, files_of(fault))
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def fingerprint_of_tests(file: str) -> str:
    """Of all that decides whether they pass without a fault."""
    paths = sorted((ROOT / "blg561").rglob("*.py"))
    texts = [text_with_helpers(file), *(path.read_text(encoding="utf-8") for path in paths)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def text_with_helpers(file: str) -> str:
    """A test file, conftest.py, and what it imports of the modules beside it."""
    text = (ROOT / file).read_text(encoding="utf-8")
    names = sorted({"conftest", *re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE)})
    beside = [ROOT / f"tests/{name}.py" for name in names]
    return "\0".join([text, *(p.read_text(encoding="utf-8") for p in beside if p.exists())])


def copy_checkout(folder: Path) -> Path:
    """All that the tests look at; the larger folders that no fault touches as links."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pt")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in (ROOT / "blg561").rglob("*.pt"):
        (folder / path.relative_to(ROOT)).symlink_to(path)
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, folder)
    return folder


def run_tests(checkout: Path, files: list[str]) -> bool:
    """Whether all tests pass. Raises RuntimeError where pytest could not run them."""
    process = PROCESSES.Process(target=pytest_in, args=(checkout, files))
    process.start()
    process.join(TIMEOUT)
    if process.exitcode is None:
        process.kill()
        process.join()
        return False
    if process.exitcode not in (0, 1, 2):  # 2: a file could not even be imported
        raise RuntimeError(f"pytest ended with {process.exitcode} on {files}")
    return process.exitcode == 0


def pytest_in(checkout: Path, files: list[str]) -> None:
    """What a process does: the tests of a copy, without what only lessons need."""
    os.chdir(checkout)
    os.environ["PYTHONPATH"] = str(checkout)
    sys.path.insert(0, str(checkout))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:nbval", "-o", "addopts="]
    options += ["-o", "required_plugins="]
    sys.exit(int(pytest.main([*options, *files])))


def survives(checkout: Path, fault: Fault) -> bool:
    path = checkout / "blg561" / fault.file
    text = path.read_text(encoding="utf-8")
    write(path, text.replace(fault.old, fault.new))
    try:
        return run_tests(checkout, files_of(fault))
    finally:
        write(path, text)


def write(path: Path, text: str) -> None:
    """With a time of its own: Python takes a file with the time and size of before for the same."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, (next(TIMES),) * 2)


class Results:
    """Fingerprint → whether the tests passed, on disk after each of their runs."""

    def __init__(self):
        self.lock = threading.Lock()
        self.found = json.loads(STORE.read_text(encoding="utf-8")) if STORE.is_file() else {}

    def add(self, key: str, passed: bool) -> None:
        with self.lock:
            self.found[key] = passed
            STORE.parent.mkdir(exist_ok=True)
            STORE.write_text(json.dumps(self.found, indent=1), encoding="utf-8")


def try_all(faults: list[Fault], results: Results) -> None:
    """Two at a time, in copies of the checkout as it is now."""
    keys = {fault: fingerprint(fault) for fault in faults}
    with tempfile.TemporaryDirectory(prefix="blg561-mutants-") as name:
        copies = [copy_checkout(Path(name) / str(number)) for number in range(2)]
        for file in sorted({file for fault in faults for file in files_of(fault)}):
            key = fingerprint_of_tests(file)
            if key not in results.found:
                if not run_tests(copies[0], [file]):
                    raise RuntimeError(f"{file} fails without a fault")
                results.add(key, True)

        def work(fault: Fault) -> None:
            with lock:
                checkout = copies.pop()
            survived = survives(checkout, fault)
            with lock:
                copies.append(checkout)
            results.add(keys[fault], survived)
            print("SURVIVED" if survived else "noticed ", fault.file, fault.name, flush=True)

        lock = threading.Lock()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, faults))


def main() -> int:
    os.environ["OMP_NUM_THREADS"] = "1"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="a part of a file's or a fault's name")
    arguments = parser.parse_args()
    faults = [f for f in FAULTS if arguments.only in f"{f.file} {f.name}"]
    results = Results()
    unknown = [fault for fault in faults if fingerprint(fault) not in results.found]
    print(f"{len(faults)} faults, {len(unknown)} of them to be tried")
    if unknown:
        try_all(unknown, results)
    survivors = [fault for fault in faults if results.found[fingerprint(fault)]]
    for fault in survivors:
        print(f"survives: {fault.file}: {fault.name}: {fault.survives or 'NO TEST NOTICES IT'}")
    explained = [fault for fault in faults if fault.survives and fault not in survivors]
    for fault in explained:
        print(f"noticed, although explained: {fault.file}: {fault.name}")
    print(f"{len(faults) - len(survivors)} of {len(faults)} faults are noticed")
    return 1 if explained or any(not fault.survives for fault in survivors) else 0


if __name__ == "__main__":
    sys.exit(main())
