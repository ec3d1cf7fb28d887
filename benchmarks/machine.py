"""What a timing was taken on, and a process of its own for each."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from blg561.language_model import training


def apart(function, *arguments):
    """`function(*arguments)` in a new process, so that its memory and warm-up are its own.

    Linux counts what the parent holds when it starts the child into the child's peak memory. It
    adds nothing here: this process has loaded PyTorch and no more, as the child does anyway.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def load() -> float | None:
    """Processes that wanted a core in the last minute, None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def used_seconds() -> float | None:
    """Processor time that all processes together have had since the start of the machine, with
    what other machines on the same processor took from it. None where Linux does not say.
    """
    path = Path("/proc/stat")
    if not path.exists():
        return None
    ticks = map(int, path.read_text(encoding="ascii").split()[1:9])
    user, nice, system, _idle, _waiting, *taken = ticks
    return (user + nice + system + sum(taken)) / os.sysconf("SC_CLK_TCK")


def describe() -> dict:
    """That of this process."""
    return {
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "default_precision": training.default_precision("cpu"),
        "torch": torch.__version__,
    }
