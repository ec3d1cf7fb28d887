"""The notebook of the handout, and the language model's grading on made submissions.

PyTorch starts anew for each: some minutes.
Not among the tests that `pytest tests` collects: `make test` runs it by name.
"""

import json
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from made_submissions import notebook, solutions, submission
from torch.utils.data import DataLoader

from blg561.assignment import grade, handout, settings
from blg561.language_model import pretrained
from blg561.language_model.dataset import ContinuingRows, Dataset
from blg561.language_model.generation import generate
from blg561.language_model.training import evaluate, perplexity

PRETRAINED = handout.PACKAGE / "language_model/pretrained"
FIGURE = handout.PACKAGE.parent / "figures/perplexity.png"
NETWORKS = {"rnn": "rnn", "rnn_clipped": "rnn_clipped", "gated": "lstm"}


def asked_for(*parts: str) -> dict:
    said = settings.load()
    said["parts"] = list(parts)
    said["limits"]["seconds_for_a_method"] = 20
    return said


@pytest.fixture(scope="module")
def text() -> str:
    """2,000 words that the provided LSTM wrote: a book that it knows, and no book's text."""
    model, lexicon = pretrained.load("pride_prejudice", "lstm")
    index = {word: place for place, word in enumerate(lexicon)}
    words = generate(model, ["the"], index, dict(enumerate(lexicon)), 1, 2000, seed=1)
    return " ".join(words)


def handed_in(folder, fill, networks=(), figures=()):
    made = submission(folder, fill=fill)
    for name in ("networks", "figures"):
        (made / name).mkdir()
    for name in networks:
        source = PRETRAINED / f"pride_prejudice-{NETWORKS[name]}.pt"
        shutil.copy(source, made / f"networks/{name}.pt")
    for name in figures:
        shutil.copy(FIGURE, made / f"figures/{name}.png")
    return made


def told(one) -> str:
    return "\n".join(f"{t.score:.2f} {t.name}: {t.said}" for t in one.tests) + str(one.flags)


def lost(one) -> dict[str, float]:
    return {
        t.name.removeprefix("LM "): round(t.most - t.score, 4)
        for t in one.tests
        if t.score < t.most
    }


def test_the_perfect_one_gets_85_and_what_the_teacher_gives(tmp_path, text):
    path = handed_in(tmp_path / "perfect", solutions(), NETWORKS, ("loss", "perplexity"))
    path.joinpath("LanguageModelling.ipynb").write_text(
        json.dumps(notebook(solutions(), ("One.", "Two.", "Three."))), encoding="utf-8"
    )
    said = settings.load()
    said["thresholds"]["pride_prejudice"] = 400
    prose = {"perfect": {"Question 1": 5.0, "Question 2": 4.0, "Question 3": 3.5}}
    one = grade.grade_one(path, said, 11, text, prose)
    assert one.score == 97.5, told(one)
    assert one.answers == {"Question 1": "One.", "Question 2": "Two.", "Question 3": "Three."}

    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    validset = Dataset(20, tmp_path / "text.txt", train=False)
    for name, recipe in NETWORKS.items():
        model, lexicon = pretrained.load("pride_prejudice", recipe)
        part = validset.with_lexicon(lexicon)
        rows = DataLoader(part, batch_sampler=ContinuingRows(part, 8))
        ours = perplexity(evaluate(model, torch.nn.CrossEntropyLoss(), rows))
        (test,) = [t for t in one.tests if t.name == f"LM networks: {name}"]
        theirs = float(test.said.split()[2].rstrip(","))
        assert theirs == pytest.approx(ours, rel=0.02), "but for the last words of the rows"


def test_the_untouched_handout_gets_0(tmp_path, text):
    handout.write(tmp_path / "handout", settings.load())
    one = grade.grade_one(tmp_path / "handout", settings.load(), 11, text, {})
    assert one.score == 0, told(one)
    assert not one.flags


def edited(**edits) -> dict:
    """The solutions with some edited: gap → (right, wrong)."""
    fill = solutions()
    for gap, (right, wrong) in edits.items():
        assert right in fill[gap], right
        fill[gap] = fill[gap].replace(right, wrong)
    return fill


CARRIED = '    if state is None or not getattr(dataloader.batch_sampler, "carries_state", False):\n'
MISTAKES = {
    "state-lost": (
        edited(train_one_epoch=(CARRIED, "    if True:\n")),
        {"train_one_epoch: state carried": 1.25, "evaluate: loss": 2,
         "evaluate: loss of several rows": 1, "evaluate: mode and weights": 1,
         "train: weights": 2, "train: train_loss": 1, "train: validation_loss": 1},
        "the state is lost between batches",
    ),
    "no-clipping-and-argmax": (
        edited(
            train_one_epoch=("clip_val if grad_clip else math.inf", "math.inf"),
            generate=(
                "torch.multinomial(probabilities, 1, generator=generator)",
                "probabilities.argmax()",
            ),
        ),
        {"train_one_epoch: clipping": 2, "generate: samples": 2},
        "always the likeliest word",
    ),
    "batch-mean-and-noise": (
        edited(
            train_one_epoch=(
                "    return total / tokens  # (LM.1)",
                "    return total / tokens if model.training else 0.0",
            ),
            generate=("    with evaluating(model):\n", "    if True:\n"),
            Dataset=("tokens[max(split - 1, 0) :]", "tokens[split:]"),
            RNNModel=("states.append(after)", "states.append(map_state(torch.zeros_like, after))"),
        ),
        {"Dataset: parts": 1.5, "Dataset: windows": 1.5, "RNNModel: state": 1,
         "RNNModel: dropout": 0.5, "RNNModel: kind": 0, "GatedModel: state": 1,
         "GatedModel: dropout": 0.5, "evaluate: loss of several rows": 1,
         "generate: goes on from its history": 2, "generate: samples": 2, "generate: mode": 1},
        "a text read in two parts",
    ),
    "schedule": (
        edited(train_one_epoch=("        step_scheduler(scheduler, epoch, log)\n", "")),
        {"train: weights": 2, "train: train_loss": 1, "train: validation_loss": 1},
        "scheduler.step() is not called",
    ),
    "rnn-for-gated": (
        edited(
            RNNModel=(
                '    cells = ("lstm", "gru", "gru_reset_first", "mingru", "fixed_factors")',
                '    cells = ("rnn",)',
            )
        ),
        {"GatedModel: kind": 0.5},
        "expected gates",
    ),
    "broken-cell": (
        edited(generate=("    generator = None if seed", "    generator = = None if seed")),
        {"generate: goes on from its history": 2, "generate: samples": 2, "generate: mode": 1},
        "the notebook defines no generate",
    ),
    "endless-cell": (
        {**solutions(), "generate": "class X:\n    while True:\n        pass\n"},
        None,
        "definitions do not run",
    ),
    "exits": (
        edited(generate=("    check_sampling(", "    import os; os._exit(0)\n    check_sampling(")),
        {"generate: goes on from its history": 2, "generate: samples": 2, "generate: mode": 1},
        "ended the process",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_costs_its_own_points(tmp_path, text, name, monkeypatch):
    fill, expected, word = MISTAKES[name]
    seconds = 5 if name == "endless-cell" else 15  # that one takes all it is given
    monkeypatch.setattr("blg561.assignment.language_model.SLOW_START", seconds)
    one = grade.grade_one(handed_in(tmp_path / name, fill), asked_for("LM"), 5, text, {})
    assert word in told(one), told(one)
    missing = dict.fromkeys(("networks: rnn", "networks: rnn_clipped", "networks: gated"), 3)
    missing |= {f"figures: figures/{n}.png": 1.5 for n in ("loss", "perplexity")}
    if expected is None:
        assert one.score == 0
    else:
        assert lost(one) == {k: v for k, v in {**expected, **missing}.items() if v}, told(one)


UNTAUGHT = '''
class RNNModel(nn.Module):
    """A hash of the words before: causal, with a state, and nothing that could be taught."""

    def __init__(self, ntoken, *_, **__):
        super().__init__()
        self.places = nn.Parameter(torch.arange(1.0, ntoken + 1))

    def initialize(self, batch_size):
        return torch.zeros(1, batch_size, 1)

    def forward(self, x, state):
        h, hs = state[0], []
        for t in range(x.shape[1]):
            h = 0.5 * h + (1.7 * x[:, t : t + 1]).sin()
            hs.append((h * self.places.detach()).sin() + 0 * self.places)
        return torch.stack(hs, 1) + self.training * torch.rand(1), h[None]


GatedModel = RNNModel
'''


def test_what_learns_nothing_is_no_network(tmp_path, text):
    path = handed_in(tmp_path / "hash", {**solutions(), "RNNModel": UNTAUGHT})
    one = grade.grade_one(path, asked_for("LM"), 5, text, {})
    assert not any(t.score for t in one.tests if "Model" in t.name), told(one)
    assert "expected one that learns" in told(one)


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_files_that_are_no_networks_and_no_figures(tmp_path, text):
    path = handed_in(tmp_path / "evil", solutions())
    (path / "networks/rnn.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"arguments": Evil(), "weights": {}, "lexicon": []}, path / "networks/gated.pt")
    found = torch.load(PRETRAINED / "pride_prejudice-rnn.pt", weights_only=True)
    found["weights"]["output.bias"][3] = torch.nan
    torch.save(found, path / "networks/rnn_clipped.pt")
    (path / "figures/loss.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    from PIL import Image

    Image.new("L", (20_000, 20_000)).save(path / "figures/perplexity.png")
    one = grade.grade_one(path, asked_for("LM"), 5, text, {})
    assert set(lost(one)) == {
        "networks: rnn", "networks: rnn_clipped", "networks: gated",
        "figures: figures/loss.png", "figures: figures/perplexity.png",
    }, told(one)  # fmt: skip
    assert "not finite numbers" in told(one)
    assert not one.flags


def test_a_network_far_above_the_threshold_has_part_of_its_points(tmp_path, text):
    said = asked_for("LM")
    path = handed_in(tmp_path / "part", solutions(), ["rnn"])
    first = grade.grade_one(path, said, 5, text, {})
    (test,) = [t for t in first.tests if t.name == "LM networks: rnn"]
    reached = float(test.said.split()[2].rstrip(","))
    said["thresholds"]["pride_prejudice"] = reached / 1.5
    again = grade.grade_one(path, said, 5, text, {})
    (test,) = [t for t in again.tests if t.name == "LM networks: rnn"]
    assert test.score == pytest.approx(1.5, abs=0.01)


def test_the_notebooks_checks_pass_with_the_solutions(tmp_path):
    folder = tmp_path / "handout"
    handout.write(folder, settings.load())
    cells = notebook(solutions())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    end = next(n for n, text in enumerate(code) if text.startswith("trainset ="))
    script = tmp_path / "lesson.py"
    future = "from __future__ import annotations\n"
    script.write_text(future + "\n".join(code[:end]).replace(future, ""), "utf-8")
    environment = {"PYTHONPATH": str(folder), "BLG561_DATA": "", "HOME": str(tmp_path)}
    program = (
        "from blg561.language_model import books\n"
        "practice = books.CATALOGUE['practice'], books.find('practice')\n"
        "books.find_or_practice = lambda key: practice\n"
        "exec(compile(open('lesson.py', encoding='utf-8').read(), 'lesson', 'exec'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
