"""`python -m blg561`: what it prints, what it leaves on disk, and with which exit code it ends."""

import dataclasses
import io
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from test_pretrained import loss_by_hand, shrink

import blg561
from blg561.__main__ import main
from blg561.errors import InputError
from blg561.language_model import (
    books,
    checkpoints,
    experiment,
    practice,
    pretrained,
    recipes,
    training,
)
from blg561.language_model.dataset import Dataset, tokenize
from blg561.language_model.models import GatedModel
from tools import provide

TESTS = Path(__file__).parent
COMMANDS = ["books", "train", "evaluate", "generate", "pronounce", "grade"]


def settle(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """A small practice corpus and small recipes; an empty current folder, no provided network."""
    shrink(folder / "data", patch.setitem)
    patch.setenv("BLG561_DATA", str(folder / "data"))
    patch.setattr(books, "_own_folder", lambda: folder / "own")
    patch.setattr(pretrained, "FOLDER", folder / "provided")
    for name in ("provided", "work"):
        (folder / name).mkdir()
    patch.chdir(folder / "work")


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Path:
    """The file of the small practice corpus, in a place of this test's own."""
    settle(tmp_path, monkeypatch)
    return tmp_path / "data/practice.txt"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A place where the LSTM was trained and provided, once for all tests that begin with it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        assert main(["train", "--book", "practice"]) == 0
        assert provide.main(["practice", "lstm"]) == 0
    return folder


@pytest.fixture
def whole_corpus(tmp_path, monkeypatch):
    """What another process finds: that one cannot be told of another own folder to write to."""
    (tmp_path / "practice.txt").write_bytes(practice.text().encode())
    monkeypatch.setenv("BLG561_DATA", str(tmp_path))


@pytest.fixture
def network(trained, corpus, tmp_path) -> Path:
    """The checkpoint of a finished training, also provided as the LSTM on the practice corpus."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return Path("models/practice/lstm.pt")


def refusal(capsys, *argv: str) -> str:
    """The one line on stderr with which `argv` is refused."""
    capsys.readouterr()
    try:
        code = main(list(argv))
    except SystemExit as ended:  # argparse
        code = ended.code
    captured = capsys.readouterr()
    *usage, line = captured.err.splitlines()
    assert code == 2 and captured.out == ""
    assert not usage or usage[0].startswith("usage: ")
    assert re.match(r"(python -m blg561( \w+)?: )?error: ", line)
    return line


def weights(path) -> dict:
    return checkpoints.load(path)["weights"]


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# help, and what must be quick


def test_help_lists_the_commands_in_their_order(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("  COMMAND") + 1
    # what a command does comes on the next line, further in, where its name is long
    shown = [line for line in lines[start : lines.index("", start)] if line[4] != " "]
    assert [line.split()[0] for line in shown] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_in_the_help_is_accepted(command, monkeypatch, capsys):
    function = "list_or_fetch" if command == "books" else command
    monkeypatch.setattr(f"blg561.commands.{command}.{function}", lambda arguments: 0)
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    examples = capsys.readouterr().out.split("examples:\n")[1].splitlines()
    assert len(examples) >= 2
    for example in examples:
        *program, given = example.split(maxsplit=3)
        assert program == ["python", "-m", "blg561"]
        main(shlex.split(given))  # argparse would end it


def test_help_names_every_recipe(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    words = re.findall(r"\w+", capsys.readouterr().out)
    assert set(recipes.RECIPES) <= set(words)


HELP = "\nfor command in {}:\n    with suppress(SystemExit): main([command, '--help'])"


@pytest.mark.parametrize(
    "code",
    [
        "import blg561",
        "from contextlib import suppress\nfrom blg561.__main__ import main\n"
        "main(['books']); assert main(['books', '--fetch', 'nothing']) == 2"
        + HELP.format(COMMANDS),
    ],
)
def test_torch_is_not_imported(whole_corpus, code):
    code += "\nimport sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"blg561 {blg561.__version__}\n"


# exit codes


def fail_with(error: Exception, monkeypatch):
    def find(key):
        raise error

    monkeypatch.setattr(books, "find", find)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("of\nthe user"), 2),
        (books.BookError("of\nthe user"), 2),
        (checkpoints.CheckpointError("of\nthe user"), 2),
        (training.TrainingDiverged("of\nthe user"), 1),
    ],
)
def test_an_error_that_is_the_user_s_is_a_line_and_with_debug_a_traceback(
    monkeypatch, capsys, error, code
):
    fail_with(error, monkeypatch)
    assert main(["books", "--fetch", "practice"]) == code
    assert capsys.readouterr().err == "error: of the user\n"
    assert main(["books", "--fetch", "practice", "--debug"]) == code
    told = capsys.readouterr().err
    assert told.startswith("Traceback") and "in find\n" in told and "of\nthe user" in told


@pytest.mark.parametrize("error", [ValueError("ours"), OSError("ours"), KeyError("ours")])
def test_a_fault_of_the_program_keeps_its_traceback_and_has_a_code_of_its_own(
    monkeypatch, capsys, error
):
    fail_with(error, monkeypatch)
    assert main(["books", "--fetch", "practice"]) == 3
    told = capsys.readouterr().err
    assert told.startswith("Traceback") and "in find\n" in told and "ours" in told


def test_ctrl_c_is_130(monkeypatch, capsys):
    fail_with(KeyboardInterrupt(), monkeypatch)
    assert main(["books", "--fetch", "practice"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_nobody_who_reads_is_no_error_message(whole_corpus):
    """As in `python -m blg561 books | true`, with a reader that is certainly gone."""
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "blg561", "books"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(TESTS.parent), "PYTHONUNBUFFERED": ""},
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        (">&-", 0, ""),
        (">/dev/full", 2, "error: [Errno 28] No space left on device\n"),
    ],
)
def test_output_that_cannot_be_written(where, code, said):
    process = subprocess.run(
        f"'{sys.executable}' -m blg561 books {where}",
        shell=True, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(TESTS.parent)},
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (code, said)


def test_a_letter_that_the_output_does_not_have_is_written_in_another_way(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(
        "blg561.commands.books.list_or_fetch", lambda arguments: print("héllo") or 0
    )
    assert main(["books"]) == 0
    assert written.getvalue().split() == [b"h\\xe9llo"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name")
def test_a_text_from_a_pipe_is_refused(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    line = refusal(capsys, "train", "--text", str(tmp_path / "pipe"))
    assert "is a pipe, which can be read once: save the text in a file first" in line


# books


def test_books_lists_the_catalogue_and_downloads_nothing(corpus, monkeypatch, capsys):
    monkeypatch.setattr(books, "_download", lambda *arguments: pytest.fail("a download"))
    (corpus.parent / "tale_of_two_cities.txt").write_text("<html>")
    assert main(["books"]) == 0
    head, *rows, _ = capsys.readouterr().out.splitlines()
    column = head.index("FILE")
    files = {row.split()[0]: row[column:] for row in rows}
    assert list(files) == list(books.CATALOGUE)
    assert files["practice"] == str(corpus)
    assert files["pride_prejudice"] == "not here yet"
    assert "is an HTML page" in files["tale_of_two_cities"]
    known = ["Pride and Prejudice", "Jane Austen", "1342", "140,142", "120", "not here yet"]
    assert re.split(r"  +", rows[0]) == ["pride_prejudice", *known]


def test_fetch_prints_where_the_book_is(corpus, monkeypatch, capsys):
    fetched = []
    monkeypatch.setattr(books, "_download", lambda book, folder: fetched.append(book.key) or folder)
    assert main(["books", "--fetch", "pride_prejudice"]) == 0
    assert fetched == ["pride_prejudice"]
    assert main(["books", "--fetch", "practice"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == str(corpus)
    assert "did you mean 'practice'" in refusal(capsys, "books", "--fetch", "practise")


# train


def test_train_says_what_it_does_and_writes_the_recipe_s_network(corpus, capsys):
    assert main(["train", "--book", "practice", "--precision", "float32"]) == 0
    out = capsys.readouterr().out
    assert out.index("training lstm on The practice corpus") < out.index("epoch  1 of 2")
    assert out.index("600 validation tokens, each once") < out.index("epoch  1 of 2")
    assert out.index("models/practice/lstm.pt") < out.index("epoch  1 of 2")
    recipe = recipes.RECIPES["lstm"]
    datasets = experiment.build_datasets(recipe, corpus)
    experiment.run(recipe, *datasets, folder="other", precision="float32")
    assert same(weights("models/practice/lstm.pt"), weights("other/lstm.pt"))


def test_the_command_that_train_names_at_its_end_works(corpus, capsys):
    assert main(["train", "--book", "practice", "--folder", "a folder"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("Now: ")
    argv = command_in(last.removeprefix("Now: "))
    assert argv[:3] == ["generate", "--model", "a folder/lstm.pt"]
    assert main(argv) == 0


def test_train_takes_recipe_epochs_seed_precision_and_folder(corpus):
    options = "--recipe rnn_clipped --epochs 1 --seed 3 --precision bfloat16 --folder here"
    assert main(["train", "--book", "practice", *options.split()]) == 0
    found = checkpoints.load("here/rnn_clipped.pt")
    recipe = dataclasses.replace(recipes.RECIPES["rnn_clipped"], epochs=1, seed=3)
    experiment.run(
        recipe, *experiment.build_datasets(recipe, corpus), folder="other", precision="bfloat16"
    )
    assert same(found["weights"], weights("other/rnn_clipped.pt"))
    assert (found["precision"], found["recipe"]["clipping"]) == ("bfloat16", recipe.clip_val)


def test_a_checkpoint_is_replaced_only_when_that_is_asked_for(network, capsys):
    before = network.read_bytes()
    line = refusal(capsys, "train", "--book", "practice", "--epochs", "1")
    assert f"{network} exists" in line and "--resume" in line and "--overwrite" in line
    assert network.read_bytes() == before
    assert main(["train", "--book", "practice", "--epochs", "1", "--overwrite"]) == 0
    assert len(checkpoints.load(network)["log"]["epoch"]) == 1


def test_a_book_that_cannot_be_had_is_an_error_that_says_what_to_do(corpus, monkeypatch, capsys):
    def unreachable(book, folder):
        raise books.BookUnavailable(f"{book.title} cannot be downloaded", "no connection")

    monkeypatch.setattr(books, "_download", unreachable)
    assert main(["train"]) == 2
    error = capsys.readouterr().err
    assert "Pride and Prejudice cannot be downloaded" in error and "--book practice" in error
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--book practise", "unknown book 'practise': .*did you mean 'practice'"),
        ("--recipe lstn", "unknown recipe 'lstn': expected one of rnn, rnn_clipped, lstm"),
        ("--epochs 0", "--epochs: expected a whole number from 1, got '0'"),
        ("--seed x", "--seed: expected a whole number from 0, got 'x'"),
        (f"--seed {2**63}", "--seed: expected a whole number from 0"),
        ("--precision half", "--precision: invalid choice: 'half'"),
        ("--folder file", "cannot write file/lstm.pt: "),
        ("--text my.txt", "--text: not allowed with argument --book"),
        ("--folder file/below", "cannot write file/below/lstm.pt: Not a directory"),
        ("--resume --overwrite", "not allowed with argument --resume"),
        ("--over", "unrecognized arguments: --over"),
    ],
)
def test_train_refuses_bad_options_before_it_trains(corpus, capsys, given, message):
    Path("file").write_text("", encoding="utf-8")
    line = refusal(capsys, "train", "--book", "practice", *given.split())
    assert re.search(message, line)
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_train_prints_no_bar_where_there_is_no_terminal_and_quiet_the_result_alone(corpus, capsys):
    assert main(["train", "--book", "practice"]) == 0
    plain, errors = capsys.readouterr()
    assert errors == "" and "\r" not in plain
    *_, result, _ = plain.splitlines()
    assert result.startswith("validation perplexity ")
    assert main(["train", "--book", "practice", "--folder", "other", "--quiet"]) == 0
    assert capsys.readouterr() == (f"{result}\n", "")


def test_a_resumed_training_keeps_its_epochs_and_its_seed(corpus, monkeypatch, capsys):
    given = ["--book", "practice", "--precision", "float32", "--folder", "here"]
    with monkeypatch.context() as patch:
        interrupt_after(25, patch)  # an epoch has 18 batches
        assert main(["train", *given, "--epochs", "3", "--seed", "5"]) == 130
    assert main(["train", *given, "--resume"]) == 0
    assert main(["train", *given[:-1], "whole", "--epochs", "3", "--seed", "5"]) == 0
    assert same(weights("here/lstm.pt"), weights("whole/lstm.pt"))
    before = Path("here/lstm.pt").read_bytes()
    line = refusal(capsys, "train", *given, "--resume", "--epochs", "20")
    assert "a training of 3 epochs" in line and "20 epochs are another" in line
    assert Path("here/lstm.pt").read_bytes() == before


def test_a_full_disk_is_a_clear_line(network, monkeypatch, capsys):
    before = network.read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full_disk)
    argv = ["train", "--book", "practice", "--overwrite"]
    line = refusal_after_announcement(capsys, *argv)
    assert line == f"error: {network} cannot be written: No space left on device"
    assert network.read_bytes() == before


@pytest.mark.parametrize("option", [[], ["--device", "cuda"], ["--device", "cpu"]])
def test_the_device_reaches_the_network(network, monkeypatch, capsys, option):
    """Where there is a CUDA device it is the default; here it only seems so."""
    asked = []

    def instead(function, place):
        def call(*arguments, **options):
            asked.append(str(arguments[place]))
            return function(*arguments[:place], "cpu", *arguments[place + 1 :], **options)

        return call

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(experiment, "run", instead(experiment.run, 3))
    monkeypatch.setattr(checkpoints, "load_model", instead(checkpoints.load_model, 1))
    assert main(["train", "--book", "practice", "--overwrite", *option]) == 0
    assert main(["evaluate", "--book", "practice", "--model", str(network), *option]) == 0
    assert main(["evaluate", "--book", "practice", *option]) == 0
    assert main(["generate", "--model", str(network), *option]) == 0
    assert asked == [option[1] if option else "cuda"] * 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_train_refuses_a_device_that_is_not_there(corpus, capsys):
    assert "finds no such device" in refusal(
        capsys, "train", "--book", "practice", "--device", "cuda"
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_train_uses_the_cuda_device_and_resumes_on_it(corpus, capsys):
    assert main(["train", "--book", "practice"]) == 0
    assert "on cuda" in capsys.readouterr().out
    assert main(["train", "--book", "practice", "--resume"]) == 0


def test_resume_refuses_a_damaged_file_and_another_training(network, capsys):
    argv = ["train", "--book", "practice", "--resume"]
    line = refusal_after_announcement(capsys, *argv, "--epochs", "5")
    assert "belongs to a training of 2 epochs" in line and "5 epochs are another" in line
    line = refusal_after_announcement(capsys, *argv, "--seed", "5")
    assert "belongs to another training: it had seed 0, now 5" in line
    network.write_bytes(network.read_bytes()[:5000])
    assert f"{network} is damaged" in refusal_after_announcement(capsys, *argv)


def refusal_after_announcement(capsys, *argv) -> str:
    assert main(list(argv)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_diverging_training_ends_with_code_1_and_its_reason(corpus, monkeypatch, capsys):
    monkeypatch.setitem(
        recipes.RECIPES,
        "lstm",
        dataclasses.replace(recipes.RECIPES["lstm"], optimizer="SGD", learning_rate=1e30),
    )
    assert main(["train", "--book", "practice"]) == 1
    *_, line = capsys.readouterr().err.splitlines()  # before it the bar, which cleared itself
    assert re.match(r"error: lstm, epoch 1, batch \d+: loss .* no checkpoint is left", line)


# one's own text


@pytest.fixture
def own(corpus) -> Path:
    """A text of one's own beside an earlier training of it, which nothing may cost."""
    path = Path("my.txt")
    path.write_text(practice.text(2000, seed=5), encoding="utf-8")
    return path


def test_ones_own_text_from_training_to_generation(own, capsys):
    argv = ["train", "--text", "my.txt", "--recipe", "rnn", "--precision", "float32"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "training rnn on my.txt" in out and "400 validation tokens" in out
    *_, result, last = out.splitlines()
    assert main(["evaluate", "--text", "my.txt", "--model", "models/text-my/rnn.pt"]) == 0
    evaluated = capsys.readouterr().out
    assert (
        re.search(r"perplexity [\d.]+", evaluated)[0] == re.search("perplexity [\\d.]+", result)[0]
    )
    text = generated(capsys, *command_in(last.removeprefix("Now: "))[1:], "--length", "9")
    assert len(tokenize(text)) == 10
    assert {*tokenize(text)} <= {*tokenize(own.read_text())}


def test_a_provided_network_on_ones_own_text(network, own, capsys):
    own.write_text(own.read_text() + " unheard of")
    _, lexicon = checkpoints.load_model(network)
    validation = tokenize(own.read_text())[-401:]
    left_out = sum(word not in lexicon for word in validation)
    assert main(["evaluate", "--book", "practice", "--text", "my.txt"]) == 0
    out = capsys.readouterr().out
    assert (
        out.startswith("practice-lstm on my.txt\n") and f"{len(lexicon)} words; {left_out}" in out
    )
    assert left_out > 1 and out.endswith(f"; {left_out} tokens left out\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file: bad.txt"),
        (b"", "bad.txt is empty: expected the text of a book"),
        (
            b"two words",
            "needs seq_length \\+ 1 = 36 tokens, but the training part of bad.txt",
        ),
        (b"- - -", "the training part of bad.txt has 0"),
        ("tiny text " * 60, "the validation part of bad.txt has 25"),
        ("déjà vu " * 400, "bad.txt is UTF-16 or no text at all: expected UTF-8"),
        (b"\xff\x00\x80" * 1000, "bad.txt is UTF-16 or no text at all: expected UTF-8"),
        (b"caf\xe9 " * 1000, "bad.txt is not UTF-8 text: byte 0xe9 at offset 3"),
    ],
)
def test_a_text_that_cannot_be_used_is_a_line_and_costs_nothing(own, capsys, content, message):
    if isinstance(content, str):
        content = content.encode("utf-16" if "é" in content else "utf-8")
    if content is not None:
        Path("bad.txt").write_bytes(content)
    there = sorted(Path().rglob("*"))
    assert re.search(message, refusal(capsys, "train", "--text", "bad.txt"))
    assert sorted(Path().rglob("*")) == there


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_an_address_is_not_a_text(network, capsys, command):
    line = refusal(capsys, command, "--text", "https://example.org/my.txt")
    assert "expected the path of a file, got the address https://example.org/my.txt" in line


def test_a_text_of_two_words_trains(corpus, capsys):
    Path("bits.txt").write_text("to be " * 500, encoding="utf-8")
    assert main(["train", "--text", "bits.txt", "--recipe", "averaged"]) == 0
    assert "all 2 words of the book" in capsys.readouterr().out


def test_another_text_under_the_name_of_a_training_keeps_that_training(own, capsys):
    assert main(["train", "--text", "my.txt"]) == 0
    before = Path("models/text-my/lstm.pt").read_bytes()
    own.write_text("quite another text in other words " * 100)
    assert "was trained on another book" in refusal_after_announcement(
        capsys, "train", "--text", "my.txt", "--resume"
    )
    assert "expected a text in the words of this network" in refusal(
        capsys, "evaluate", "--text", "my.txt", "--model", "models/text-my/lstm.pt"
    )
    assert Path("models/text-my/lstm.pt").read_bytes() == before


# Ctrl-C


def interrupt_after(batches: int, monkeypatch):
    """Ctrl-C in the middle of the epoch, after that many batches."""
    clip = torch.nn.utils.clip_grad_norm_
    countdown = iter(range(batches, -1_000_000, -1))

    def clip_or_interrupt(*arguments):
        if next(countdown) == 0:
            raise KeyboardInterrupt
        return clip(*arguments)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip_or_interrupt)


def command_in(error: str) -> list[str]:
    *_, command = error.splitlines()
    *program, given = command.split(maxsplit=3)
    assert program == ["python", "-m", "blg561"]
    return shlex.split(given)


@pytest.mark.parametrize("option", [[], ["--resume"]])
def test_ctrl_c_before_the_first_checkpoint_says_how_to_start_again(
    corpus, monkeypatch, capsys, option
):
    argv = ["train", "--book", "practice", *option]
    with monkeypatch.context() as patch:
        interrupt_after(5, patch)
        assert main(argv) == 130
    error = capsys.readouterr().err
    assert "before the first epoch was saved" in error
    assert command_in(error) == argv


def test_ctrl_c_before_an_overwriting_training_saved_keeps_the_older_file(
    network, monkeypatch, capsys
):
    before = network.read_bytes()
    argv = ["train", "--book", "practice", "--overwrite"]
    interrupt_after(5, monkeypatch)
    assert main(argv) == 130
    # to resume would go on with the older training
    assert command_in(capsys.readouterr().err) == argv
    assert network.read_bytes() == before


def test_the_command_named_after_ctrl_c_leads_to_the_same_weights(corpus, monkeypatch, capsys):
    """Interrupted in its second epoch, and once more before the third ends."""
    plain = ["--book", "practice", "--epochs", "3", "--precision", "float32"]
    options = [*plain, "--folder", "a folder"]
    argv = ["train", *options, "--overwrite"]
    for batches in (25, 20):  # an epoch has 18
        with monkeypatch.context() as patch:
            interrupt_after(batches, patch)
            assert main(argv) == 130
        error = capsys.readouterr().err
        assert "what was finished is in a folder/lstm.pt" in error
        argv = command_in(error)
        assert argv == ["train", *options, "--resume"]
    assert main(argv) == 0
    assert main(["train", *plain]) == 0
    assert same(weights("a folder/lstm.pt"), weights("models/practice/lstm.pt"))


# evaluate


@pytest.mark.parametrize("model", [[], ["--model", "models/practice/lstm.pt"]])
def test_evaluate_prints_one_json_object_with_the_exact_score(network, corpus, capsys, model):
    assert main(["evaluate", "--book", "practice", *model, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    trained, _ = checkpoints.load_model(network) if model else pretrained.load("practice", "lstm")
    loss = loss_by_hand(trained, corpus)
    assert told["loss"] == pytest.approx(loss, rel=1e-6)
    assert told["perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    assert told["bits"] == pytest.approx(math.log2(math.exp(loss)), rel=1e-6)
    assert told["tokens_scored"] == 600  # 20 % of 3000
    assert told["book"] == "practice"
    assert told["model"] == (str(network) if model else "practice-lstm")
    assert told["protocol"].keys() == {"tokens", "lexicon", "split", "scored"}


def test_evaluate_in_words_says_the_protocol_and_the_score(network, corpus, capsys):
    assert main(["evaluate", "--book", "practice", "--model", str(network)]) == 0
    out = capsys.readouterr().out
    trained, lexicon = checkpoints.load_model(network)
    value = float(re.search(r"validation perplexity ([\d.]+),", out)[1])
    assert value == pytest.approx(math.exp(loss_by_hand(trained, corpus)), abs=0.01)
    assert "600 validation tokens" in out and f"all {len(lexicon)} words" in out


def test_a_network_that_read_other_books_first(corpus, monkeypatch, capsys):
    """It is trained, provided and found by its name, and its score says what it has read."""
    asked = []
    other = corpus.with_name("other.txt")
    other.write_text(100 * "It is a different book. ", encoding="utf-8")
    monkeypatch.setattr(books, "find_novels", lambda besides: asked.append(besides) or [other])
    train = ["train", "--book", "practice", "--recipe", "three_books"]
    assert main(train) == 0
    assert provide.main(["practice", "three_books"]) == 0
    assert asked == ["practice"] * 2
    first = checkpoints.load("models/practice/three_books_first.pt")
    assert first["lexicon"][-1] == "<other>"
    card = pretrained.card("practice", "three_books")
    assert card["seconds_of_first"] == pytest.approx(sum(first["log"]["seconds"]), abs=0.05)
    capsys.readouterr()
    for recipe, told in {"three_books": True, "lstm": False}.items():
        if not told:
            assert main(["train", "--book", "practice"]) == provide.main(["practice", "lstm"]) == 0
            capsys.readouterr()
        assert main(["evaluate", "--book", "practice", "--recipe", recipe]) == 0
        assert ("on the other two novels whole" in capsys.readouterr().out) == told
    assert "three_books.pt exists" in refusal(capsys, *train)


def test_ctrl_c_while_it_reads_other_books_loses_nothing(corpus, monkeypatch, capsys):
    other = corpus.with_name("other.txt")
    other.write_text(100 * "It is a different book. ", encoding="utf-8")
    monkeypatch.setattr(books, "find_novels", lambda besides: [other])
    one_epoch = training.train_one_epoch

    def one_epoch_or_stop(*arguments, **options):
        if len(arguments[4]["epoch"]) == 1:
            raise KeyboardInterrupt
        return one_epoch(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(training, "train_one_epoch", one_epoch_or_stop)
        assert main(["train", "--book", "practice", "--recipe", "three_books"]) == 130
    error = capsys.readouterr().err
    assert "three_books_first.pt. Go on with" in error and "--resume" in error
    assert len(checkpoints.load("models/practice/three_books_first.pt")["log"]["epoch"]) == 1
    assert main(command_in(error)) == 0
    assert len(checkpoints.load("models/practice/three_books_first.pt")["log"]["epoch"]) == 2


def test_the_other_novels_are_those_of_project_gutenberg(monkeypatch):
    monkeypatch.setattr(books, "find", lambda key: Path(key))
    others = [str(path) for path in books.find_novels(besides="tale_of_two_cities")]
    assert others == ["pride_prejudice", "the_brothers_karamazov"]


def denied(*_):
    raise PermissionError(13, "Permission denied")


def test_evaluate_refuses_what_it_cannot_score(network, monkeypatch, capsys):
    evaluate = ["evaluate", "--book", "practice"]
    line = refusal(capsys, *evaluate, "--recipe", "gru")
    assert "no network gru on practice" in line and "lstm on practice" in line
    assert "there is no checkpoint nothing.pt" in refusal(
        capsys, *evaluate, "--model", "nothing.pt"
    )
    assert "not allowed with" in refusal(capsys, *evaluate, "--model", "a", "--recipe", "rnn")
    assert ". is a folder: expected the file" in refusal(capsys, *evaluate, "--model", ".")
    torch.save(torch.nn.Linear(1, 1), "pickled.pt")
    line = refusal(capsys, *evaluate, "--model", "pickled.pt")
    assert "pickled.pt holds pickled Python objects" in line and "weights_only" not in line
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.zipfile, "ZipFile", denied)
        line = refusal(capsys, *evaluate, "--model", str(network))
    assert line == f"error: {network} cannot be read: Permission denied"
    contents = checkpoints.load(network)
    lexicon = contents.pop("lexicon")
    checkpoints.save("wordless.pt", contents)
    line = refusal(capsys, *evaluate, "--model", "wordless.pt")
    assert "wordless.pt is a checkpoint without lexicon" in line
    contents["lexicon"] = lexicon
    contents["lexicon"] = [f"x{word}" for word in contents["lexicon"]]
    checkpoints.save(network, contents)
    assert "expected a text in the words of this network" in refusal(
        capsys, *evaluate, "--model", str(network)
    )


# generate


@pytest.fixture
def speaker(corpus) -> Path:
    """The file of a network with large random weights: a word depends on all those before it."""
    lexicon = Dataset(1, corpus).unique_data
    torch.manual_seed(0)
    model = GatedModel(len(lexicon), 16, 16, 1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    checkpoints.save("speaker.pt", checkpoints.model_contents(model, lexicon))
    return Path("speaker.pt")


def generated(capsys, *argv: str) -> str:
    capsys.readouterr()
    assert main(["generate", *argv]) == 0
    return capsys.readouterr().out


def test_generate_prints_the_prompt_and_as_many_words_as_asked(speaker, capsys):
    argv = ["--model", str(speaker), "--prompt", "The boat, the Captain", "--length", "12"]
    text = generated(capsys, *argv, "--seed", "5")
    assert text.startswith("The boat, the captain")
    assert len(tokenize(text)) == 5 + 12
    assert generated(capsys, *argv, "--seed", "5") == text
    assert generated(capsys, *argv, "--seed", "6") != text


def test_generate_reads_the_whole_prompt(speaker, capsys):
    argv = ["--model", str(speaker), "--length", "12", "--seed", "5", "--prompt"]
    a, b = (tokenize(generated(capsys, *argv, prompt)) for prompt in ("the boat", "a boat"))
    assert a[2:] != b[2:]


@pytest.mark.parametrize("option", ["--top-k 1", "--top-p 1e-9", "--temperature 1e-4"])
def test_generate_passes_on_how_to_sample(speaker, capsys, option):
    """At its limit each of the three gives the likeliest word, whatever the seed."""
    argv = ["--model", str(speaker), "--prompt", "the", *option.split(), "--seed"]
    assert len({generated(capsys, *argv, seed) for seed in "123"}) == 1


def test_generate_works_from_any_provided_network(network, monkeypatch, capsys):
    asked = []
    load = pretrained.load
    monkeypatch.setattr(
        pretrained, "load", lambda *names: asked.append(names) or load("practice", "lstm")
    )
    text = generated(capsys, "--prompt", "the", "--length", "3")
    assert len(tokenize(text)) == 4
    generated(capsys, "--book", "practice", "--recipe", "averaged", "--length", "3")
    assert [names[:2] for names in asked] == [("pride_prejudice", "lstm"), ("practice", "averaged")]


def test_the_prompt_is_what_a_file_holds_or_the_most_frequent_word(speaker, capsys):
    model = ["--model", str(speaker), "--length", "5", "--seed", "1"]
    Path("prompt.txt").write_text("The boat,\nthe captain", encoding="utf-8")
    said = generated(capsys, *model, "--prompt-file", "prompt.txt")
    assert said == generated(capsys, *model, "--prompt", "the boat, the captain")
    counts = Counter(word for word in tokenize(practice.text(3000)) if word.isalpha())
    assert tokenize(generated(capsys, *model))[0] == counts.most_common(1)[0][0]
    contents = checkpoints.load(speaker)
    contents["lexicon"] = [",", *(word for word in contents["lexicon"] if word != ",")]
    checkpoints.save(speaker, contents)
    assert tokenize(generated(capsys, *model))[0] == counts.most_common(1)[0][0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--prompt-file", "none.txt"], "no such file: none.txt"),
        (["--prompt-file", "file", "--prompt", "the"], "not allowed with argument"),
        (["--prompt", "the captan"], "'captan' is not in the lexicon; close to it: captain"),
        (["--prompt", ""], "the prompt needs at least one word, got none in ''"),
        (["--prompt", "the", "--temperature", "0"], "temperature must be above 0, at least"),
        (["--prompt", "the", "--temperature", "1e-300"], "temperature must be above 0, at least"),
        (["--prompt", "the", "--temperature", "nan"], "temperature must be above 0, at least"),
        (["--prompt", "the", "--top-p", "2"], "top_p must be above 0 and at most 1, got 2.0"),
        (["--prompt", "the", "--top-k", "0"], "--top-k: expected a whole number from 1"),
        (["--prompt", "the", "--length", "-1"], "--length: expected a whole number from 1"),
        (["--model", "nothing.pt"], "there is no checkpoint nothing.pt"),
    ],
)
def test_generate_refuses_bad_input(speaker, capsys, given, message):
    assert message in refusal(capsys, "generate", "--model", str(speaker), *given)


@pytest.mark.skipif(
    ("pride_prejudice", "lstm") not in pretrained.available(), reason="it is not provided yet"
)
def test_the_example_of_the_readme(capsys):
    text = generated(capsys, "--prompt", "it is a truth", "--length", "10", "--seed", "1")
    assert text.startswith("It is a truth")
    assert len(tokenize(text)) == 14
