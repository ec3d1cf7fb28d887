"""A process for a submission, as far from the grader as the system allows, and the line to it."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from blg561.assignment import handout, wire
from blg561.assignment.hand_in import WANTED

FIRST_UID, UIDS = 61_184, 4_000  # a range that no distribution gives to anybody
NUMBERS = itertools.count(secrets.randbelow(UIDS))
START_SECONDS = 60


class NotStarted(Exception):
    """No process came to be, for a reason that is not the submission's."""


class Failed(Exception):
    """The submission's process gave no answer; the message says to a student what happened."""


class OutOfTime(Failed):
    """The time for the whole submission is over: nothing more of it is run."""


@functools.cache
def namespaces() -> tuple[str, ...]:
    """The command that takes network and other processes away, as far as the system allows it."""
    own = ["unshare", "--net", "--ipc", "--pid", "--fork", "--kill-child=KILL"]
    # within a user namespace root could not become the user that a submission runs as
    prefixes = [own] if os.geteuid() == 0 else [own, [*own, "--user", "--map-root-user"]]
    for prefix in prefixes:
        try:
            done = subprocess.run([*prefix, "true"], capture_output=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return tuple(prefix)
    return ()


@functools.cache
def reaches_python(uid: int) -> bool:
    """Whether another user may read this Python: one that root installed for itself, he may not."""
    program = [sys.executable, "-I", "-c", "import numpy"]
    try:
        as_it = {"user": uid, "group": uid, "extra_groups": []}
        return subprocess.run(program, **as_it, cwd="/", capture_output=True).returncode == 0
    except OSError:
        return False


class Sandbox:
    """The folder of one submission, and one process at a time that runs in it.

    files: what was handed in, by the name in WANTED.
    limits: `memory_gib` and the like, as in assignment.toml. The seconds for a submission begin
        here.
    """

    def __init__(self, files: dict[str, bytes], limits: dict):
        self.limits, self.process, self.line = limits, None, None
        self.force: list[str] = []
        self.deadline = time.monotonic() + limits["seconds_for_a_submission"]
        self.uid = FIRST_UID + 1 + next(NUMBERS) % UIDS if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="blg561-"))
        for path, text in handout.package()[0].items():
            self.put(f"package/blg561/{path}", text.encode())
        for path, content in files.items():
            inside = "package" if path.startswith("blg561/") else "handed_in"
            self.put(f"{inside}/{path}", content)
        for name in ("child.py", "wire.py"):
            self.put(name, Path(__file__).with_name(name).read_bytes())
        home = self.folder / "home"
        home.mkdir()
        if self.uid is not None:
            # its own is the home alone: what the grader writes, it must not be able to redirect
            os.chown(home, self.uid, self.uid)
            os.chown(self.folder, 0, self.uid)
            self.folder.chmod(0o750)

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def handed_in(self, name: str) -> str:
        assert name in WANTED
        return str(self.folder / "handed_in" / name)

    def start(self, torch: bool = False, libraries: tuple[str, ...] = ("numpy",)):
        """torch: whether it is the language model's, which has every library; else `libraries`.

        Raises OutOfTime, and NotStarted where no process comes to be.
        """
        self.time_left()
        ours, theirs = socket.socketpair()
        said = {
            "line": theirs.fileno(),
            "folder": str(self.folder),
            "uid": self.uid,
            "search": self.uid is not None and not reaches_python(FIRST_UID),
            "torch": torch,
            "libraries": None if torch else libraries,
            "memory_gib": self.limits["memory_gib"],
            "cpu_seconds": math.ceil(self.limits["seconds_for_a_submission"]) + 1,
        }
        program = [sys.executable, "-I", "-B", str(self.folder / "child.py"), json.dumps(said)]
        home = str(self.folder / "home")
        self.process = subprocess.Popen(
            [*namespaces(), *program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            cwd=home,
            env={
                **dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR"), home),
                **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
                **{"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"},
            },
        )
        theirs.close()
        self.line = ours
        try:
            said, _ = self.receive(START_SECONDS)
        except Failed as failed:
            raise NotStarted(f"the process for a submission: {failed}") from failed
        if "force" not in said:
            self.stop()
            raise NotStarted(f"the process for a submission: {said.get('refused')}")
        self.force = said["force"]
        if namespaces():
            self.force.append("no network, no sight of other processes")

    def ask(self, do: str, seconds: float, arrays: dict | None = None, **said) -> tuple[dict, dict]:
        """What `do` of child.py answers.

        Raises Failed where the submission raised, ended its process, took too long or answered with
        something else; the next `ask` needs a new `start`. OutOfTime is one of these.
        """
        try:
            return self.ask_within(min(seconds, self.time_left()), do, arrays, said)
        except Failed:
            self.time_left()  # where that was the reason, it is named
            raise

    def time_left(self) -> float:
        """Of the submission's seconds. Raises OutOfTime where none are left."""
        left = self.deadline - time.monotonic()
        if left > 0:
            return left
        self.stop()
        seconds = self.limits["seconds_for_a_submission"]
        raise OutOfTime(f"the {seconds:g} seconds for the whole submission were used up")

    def ask_within(self, seconds: float, do: str, arrays: dict | None, said: dict):
        try:
            self.line.settimeout(seconds)
            wire.send(self.line, {"do": do, **said}, arrays)
        except OSError:
            self.fail(seconds)
        told, came = self.receive(seconds)
        if "error" in told:
            where = str(told.get("where", ""))[:200]
            raise Failed(f"{str(told['error'])[:500]}{' (' + where + ')' if where else ''}")
        return told, came

    def receive(self, seconds: float) -> tuple[dict, dict]:
        try:
            return wire.receive(self.line, seconds)
        except wire.Garbage as error:
            self.stop()
            raise Failed(f"the process answered with {error}") from None
        except TimeoutError:
            self.stop()
            raise Failed(f"it did not finish within {seconds:g} seconds") from None
        except (EOFError, OSError):
            self.fail(seconds)

    def fail(self, seconds: float):
        """Raises Failed with the way in which the process ended."""
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = None
        self.stop()
        if code is not None and code < 0:
            raise Failed(f"it crashed the process ({signal.strsignal(-code)})")
        if code is not None and code > 128:
            raise Failed(f"it crashed the process ({signal.strsignal(code - 128)})")
        raise Failed(f"it ended the process (exit code {code})")

    @property
    def runs(self) -> bool:
        return self.process is not None

    def stop(self):
        """End the process and all that it started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.uid is not None:  # also what left the group
            as_it = {"user": self.uid, "group": self.uid, "extra_groups": []}
            subprocess.run(["/bin/sh", "-c", "kill -9 -1"], **as_it, check=False, cwd="/")
        self.process.wait()
        self.line.close()
        self.process = self.line = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        # a submission may nest folders deeper than shutil follows, and lock them
        for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run([*command, str(self.folder)], check=False, capture_output=True)
