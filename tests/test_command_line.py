"""`python -m blg561`: what it prints, what it leaves on disk, and with which exit code it ends."""

import dataclasses
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_pretrained import loss_by_hand, shrink

from blg561.__main__ import main
from blg561.language_model import (
    books,
    checkpoints,
    experiment,
    pretrained,
    recipes,
    training,
)
from blg561.language_model.dataset import Dataset, tokenize
from blg561.language_model.models import GatedModel
from tools import provide

TESTS = Path(__file__).parent
COMMANDS = ["books", "train", "evaluate", "generate"]


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Path:
    """A small practice corpus and small recipes; an empty current folder, no provided network."""
    shrink(tmp_path / "data", monkeypatch.setitem)
    monkeypatch.setenv("BLG561_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(books, "_own_folder", lambda: tmp_path / "own")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "provided")
    for name in ("provided", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "data/practice.txt"


@pytest.fixture
def network(corpus, monkeypatch, capsys) -> Path:
    """The checkpoint of a finished training, also provided as the LSTM on the practice corpus."""
    assert main(["train", "--book", "practice"]) == 0
    assert provide.main(["practice", "lstm"]) == 0
    capsys.readouterr()
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


def test_help_lists_the_commands_a_line_each(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("  COMMAND") + 1
    assert [line.split()[0] for line in lines[start : start + 5] if line] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_in_the_help_is_accepted(command, monkeypatch, capsys):
    monkeypatch.setattr(f"blg561.__main__.{command if command != 'books' else 'list_or_fetch'}", id)
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
def test_torch_is_not_imported(corpus, code):
    code += "\nimport sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


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
        ("--folder file/below", "Not a directory: 'file/below'"),
        ("--resume --overwrite", "not allowed with argument --resume"),
        ("--over", "unrecognized arguments: --over"),
    ],
)
def test_train_refuses_bad_options_before_it_trains(corpus, capsys, given, message):
    Path("file").write_text("")
    line = refusal(capsys, "train", "--book", "practice", *given.split())
    assert re.search(message, line)
    assert [path.name for path in Path().iterdir()] == ["file"]


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
    assert "belongs to another training" in line
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
        dataclasses.replace(recipes.RECIPES["lstm"], optimizer="SGD", learning_rate=math.inf),
    )
    assert main(["train", "--book", "practice"]) == 1
    *_, line = capsys.readouterr().err.splitlines()  # before it the bar, which cleared itself
    assert re.match(r"error: lstm, epoch 1, batch \d+: loss .* no checkpoint is left", line)


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
    code = "import sys; from test_command_line import *; train_and_wait(sys.argv[1])"
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


def test_evaluate_refuses_what_it_cannot_score(network, capsys):
    evaluate = ["evaluate", "--book", "practice"]
    line = refusal(capsys, *evaluate, "--recipe", "gru")
    assert "no network gru on practice" in line and "lstm on practice" in line
    assert "there is no checkpoint nothing.pt" in refusal(
        capsys, *evaluate, "--model", "nothing.pt"
    )
    assert "not allowed with" in refusal(capsys, *evaluate, "--model", "a", "--recipe", "rnn")
    contents = checkpoints.load(network)
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


def test_generate_works_from_the_provided_lstm(network, monkeypatch, capsys):
    asked = []
    load = pretrained.load
    monkeypatch.setattr(
        pretrained, "load", lambda *names: asked.append(names) or load("practice", "lstm")
    )
    text = generated(capsys, "--prompt", "the", "--length", "3")
    assert asked == [("pride_prejudice", "lstm")]
    assert len(tokenize(text)) == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--prompt", "the captan"], "'captan' is not in the lexicon; close to it: captain"),
        (["--prompt", ""], "the prompt needs at least one word, got ''"),
        (["--prompt", "the", "--temperature", "0"], "temperature must be above 0, got 0.0"),
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
