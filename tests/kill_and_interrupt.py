"""Trainings in processes of their own: killed, interrupted, or beside others on the same cores.

It is not one of the plain tests, so its name keeps it out of `pytest tests`; `make test` runs it.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import test_command_line
import torch
from test_command_line import command_in, same, weights
from test_pretrained import shrink
from test_training import CRITERION, loaders, small_lstm

from blg561.__main__ import main
from blg561.language_model import checkpoints, training
from blg561.language_model.training import train

TESTS = Path(__file__).parent
corpus = test_command_line.corpus  # a fixture


def training_run(
    text, folder, kill_at_save=None, kill_at_step=None, precision="float32", average_decay=None
):
    """Six epochs with dropout, momentum and a schedule; optionally dies in a save or a step."""
    torch.set_num_threads(1)
    if kill_at_save is not None:
        saves = iter(range(1, 100))
        real = os.fsync

        def fsync(descriptor):  # the new file is written but does not have its name yet
            if next(saves) == kill_at_save:
                os.truncate(descriptor, os.fstat(descriptor).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            real(descriptor)

        checkpoints.os.fsync = fsync
    trainloader, evalloader = loaders(text)
    model = small_lstm(trainloader, dropout=0.3, embedding_dropout=0.1, tie_weights=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)
    steps = iter(range(1, 1000))
    if kill_at_step is not None:
        optimizer.register_step_post_hook(
            lambda *_: next(steps) < kill_at_step or os.kill(os.getpid(), signal.SIGKILL)
        )
    train(
        trainloader, evalloader, model, optimizer, CRITERION, 6, True, 0.25, 4, scheduler,
        folder=folder, resume=True, precision=precision, average_decay=average_decay,
    )  # fmt: skip


@pytest.fixture(scope="module")
def processes():
    """Starts processes quickly: each is a fork of one that has imported PyTorch and no more.

    With torch._dynamo, that is, which its first optimizer would take a second to import.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["blg561.language_model.training", "torch._dynamo"])
    return context


def finish(processes, *arguments):
    process = processes.Process(target=training_run, args=arguments)
    process.start()
    process.join()
    return process.exitcode


@pytest.mark.parametrize("options", [("float32",), ("bfloat16",), ("float32", 0.9)])
def test_a_killed_training_ends_with_the_same_weights(text_file, tmp_path, processes, options):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert finish(processes, text_file, whole, None, None, *options) == 0

    assert finish(processes, text_file, cut, 2, None, *options) == -signal.SIGKILL  # inside a save
    for step in (1, 29):  # in the middle of its second epoch and of its fourth
        assert finish(processes, text_file, cut, None, step, *options) == -signal.SIGKILL
    assert finish(processes, text_file, cut, None, None, *options) == 0

    expected, found = (checkpoints.load(folder / "model.pt") for folder in (whole, cut))
    for kind in {"weights", "weights_in_training"} & expected.keys():
        for name, value in expected[kind].items():
            assert torch.equal(value, found[kind][name]), name
    assert expected["log"]["validation_loss"] == found["log"]["validation_loss"]
    assert expected["log"]["gradient_norm"] == found["log"]["gradient_norm"]
    assert torch.equal(expected["random_state"], found["random_state"])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="places two processes on a core")
def test_a_busy_machine_gives_the_same_weights(text_file, tmp_path, processes):
    """Precision "auto", once alone and once beside a process that takes half of every core."""
    assert finish(processes, text_file, tmp_path / "idle", None, None, "auto") == 0
    rivals = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in os.sched_getaffinity(0)
    ]
    try:
        assert finish(processes, text_file, tmp_path / "busy", None, None, "auto") == 0
    finally:
        for rival in rivals:
            rival.kill()
    idle, busy = (checkpoints.load(tmp_path / name / "model.pt") for name in ("idle", "busy"))
    assert idle["precision"] == busy["precision"]
    for name, value in idle["weights"].items():
        assert torch.equal(value, busy["weights"][name]), name


FOUR_EPOCHS = ["train", "--book", "practice", "--epochs", "4", "--precision", "float32"]


def train_and_wait(folder: str):
    """What the process of the next test runs: three epochs, and then nothing until a signal."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    shrink(Path(folder), dict.__setitem__)
    one_epoch = training.train_one_epoch

    def one_epoch_or_wait(*arguments, **options):
        if len(arguments[4]["epoch"]) == 3:
            print("waiting", flush=True)
            time.sleep(60)
        return one_epoch(*arguments, **options)

    training.train_one_epoch = one_epoch_or_wait
    sys.exit(main(FOUR_EPOCHS))


def test_sigint_ends_a_process_with_130_and_the_checkpoint(corpus, capsys):
    code = "import sys; from kill_and_interrupt import train_and_wait; train_and_wait(sys.argv[1])"
    search = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(corpus.parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    for line in process.stdout:
        if line == "waiting\n":
            process.send_signal(signal.SIGINT)
    error = process.stderr.read()
    assert process.wait() == 130
    assert "Traceback" not in error and "interrupted" in error
    assert len(checkpoints.load("models/practice/lstm.pt")["log"]["epoch"]) == 3
    assert main(command_in(error)) == 0
    assert main([*FOUR_EPOCHS, "--folder", "whole"]) == 0
    assert same(weights("models/practice/lstm.pt"), weights("whole/lstm.pt"))
