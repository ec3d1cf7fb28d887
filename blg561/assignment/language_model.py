"""The language model, judged by what it does on texts and numbers drawn at grading time.

What each function should give is computed here by a plain loop and compared here. The submission's
process gets the numbers, never the answer; of the text that a network is scored on it is shown a
word only after it has said how likely every word is there.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from blg561.assignment.sandbox import Failed, OutOfTime, Sandbox
from blg561.assignment.scores import Mark
from blg561.language_model.books import CATALOGUE
from blg561.language_model.dataset import tokenize

NETWORKS = {"rnn": "RNNModel", "rnn_clipped": "RNNModel", "gated": "GatedModel"}
FIGURES = ("figures/loss.png", "figures/perplexity.png")
SLOW_START = 60  # seconds that reading the notebook's definitions may take
ROWS = 8  # of the text that a network is scored on, read side by side
UNKNOWN = math.log(1e-10)  # for a word that the network's lexicon lacks
SUSPICIOUS = 64.0  # below all that we measured of a novel: results/three_books.json comes to 64.5
# what an answer of another form than asked for raises where it is read
UNASKED = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)
LOG = ["step", "step_loss", "gradient_norm", "epoch", "train_loss", "learning_rate", "seconds"]
LOG += ["validation_epoch", "validation_loss"]


class Judge:
    """The tests of one submission as they come.

    faults: what of the notebook did not run. flags: what a teacher should look at.
    """

    def __init__(self, sandbox: Sandbox, said: dict, seed: int):
        self.sandbox, self.said = sandbox, said
        self.rng = np.random.default_rng([seed, 561])
        self.seconds = said["limits"]["seconds_for_a_method"]
        self.points = said["points"]["LM"]
        self.tests: list[Mark] = []
        self.faults: list[str] = []
        self.flags: list[str] = []
        self.undefined = ""

    def ready(self):
        """A process with the notebook's definitions. Raises Failed where there is none."""
        if self.undefined:
            raise Failed(self.undefined)
        if self.sandbox.runs:
            return
        self.sandbox.start(torch=True)
        path = self.sandbox.handed_in("LanguageModelling.ipynb")
        try:
            told, _ = self.sandbox.ask("define", SLOW_START, path=path)
        except OutOfTime:
            raise
        except Failed as failed:
            self.undefined = f"the notebook's definitions do not run: {failed}"
            self.sandbox.stop()
            raise Failed(self.undefined) from None
        self.faults = [str(fault)[:300] for fault in list(told.get("faults", []))[:20]]

    def ask(self, do: str, arrays: dict | None = None, **asked) -> tuple[dict, dict]:
        self.ready()
        return self.sandbox.ask(do, self.seconds, arrays, **asked)

    def judge(self, title: str, shares: dict[str, float], run):
        """Tests of one gap. `run` returns, by the name in `shares`, "" or what is wrong."""
        worth = self.points[title]
        try:
            wrong = run()
        except Failed as failed:
            text = str(failed)
            wrong = dict.fromkeys(shares, "not written yet" if "NotImplemented" in text else text)
        except UNASKED:
            wrong = dict.fromkeys(shares, "the process answered with something else than asked")
        for name, share in shares.items():
            most = worth * share / sum(shares.values())
            said = wrong[name]
            score = 0 if said else most
            self.tests.append(Mark(f"LM {title}: {name}", score, most, said or "right"))


def close(came, right) -> bool:
    if np.shape(came) != np.shape(right):  # before a copy eight times as large is made
        return False
    came, right = np.asarray(came, float), np.asarray(right, float)
    scale = np.abs(right).max(initial=0.0)
    return bool(np.abs(came - right).max(initial=0.0) <= 1e-4 * scale + 1e-5)


def grade(sandbox: Sandbox, said: dict, seed: int, files: dict, book) -> Judge:
    """book: the path of the text that the networks are scored on."""
    judge = Judge(sandbox, said, seed)
    if "LanguageModelling.ipynb" not in files:
        judge.undefined = "LanguageModelling.ipynb is missing"
    judge.judge("Dataset", DATASET, lambda: judge_dataset(judge))
    for name in ("RNNModel", "GatedModel"):
        judge.judge(name, MODEL, lambda name=name: judge_model(judge, name))
    judge.judge("train_one_epoch", EPOCH, lambda: judge_epoch(judge))
    judge.judge("evaluate", EVALUATE, lambda: judge_evaluate(judge))
    judge.judge("train", TRAIN, lambda: judge_train(judge))
    judge.judge("generate", GENERATE, lambda: judge_generate(judge))
    for name in NETWORKS:
        judge.tests.append(judge_network(judge, name, files, book))
    sandbox.stop()
    judge.tests += judge_figures(said, files)
    return judge


# ------------------------------------------------------------------------------------------------
# Dataset
# ------------------------------------------------------------------------------------------------

DATASET = {"lexicon": 1, "its order": 1, "indices": 1, "parts": 1.5, "windows": 1.5}


def draw_text(rng) -> str:
    """Some hundred words and marks, frequencies falling, with capitals, apostrophes and dashes."""
    letters = list("abcdefghijklmnop")
    words = ["".join(rng.choice(letters, rng.integers(1, 6))) for _ in range(40)] + [
        "don't",
        "it's",
    ]
    chances = 1 / np.arange(1, len(words) + 1)
    drawn = list(rng.choice(words, 500, p=chances / chances.sum()))
    for place in rng.choice(500, 120, replace=False):
        drawn[place] = rng.choice([drawn[place].upper(), drawn[place] + ",", drawn[place] + "."])
    lines = [" ".join(drawn[n : n + 11]) for n in range(0, 500, 11)]
    return "\r\n".join(lines) + "\r\n"


def judge_dataset(judge: Judge) -> dict:
    text = draw_text(judge.rng)
    tokens = tokenize(text)
    path = judge.sandbox.put("texts/drawn.txt", text.encode())
    T, share = int(judge.rng.integers(4, 9)), 0.75
    split = int(share * len(tokens))
    parts = {"train": tokens[:split], "valid": tokens[split - 1 :]}
    places = {name: [0, 3, len(p) - T - 1, [2, 2 + T + 3]] for name, p in parts.items()}
    told, came = judge.ask("run_dataset", path=str(path), seq_length=T, split=share, **places)
    lexicon = told["train"]["lexicon"]
    wrong = dict.fromkeys(DATASET, "")
    if sorted(lexicon) != sorted(set(tokens)) or told["valid"]["lexicon"] != lexicon:
        missing = len(set(tokens) - set(lexicon))
        wrong["lexicon"] = (
            f"expected each of the {len(set(tokens))} words of the whole text once, the same for "
            f"both parts, got {len(lexicon)}, of which {missing} are missing"
        )
    if wrong["lexicon"] or not any(
        falls([counted.count(word) for word in lexicon]) for counted in (parts["train"], tokens)
    ):
        wrong["its order"] = "expected the most frequent word first, and so on"
    for name in parts:
        indices = {word: index for index, word in enumerate(lexicon)}
        if told[name]["data_idx"] != indices or told[name]["idx_data"] != lexicon:
            wrong["indices"] = "expected idx_data and data_idx to be the lexicon, both ways"
        part = parts[name]
        data = came[name + ".data"]
        if words_of(data, lexicon, len(part)) != part:
            wrong["parts"] = (
                f"the {name} part has {data.size} tokens, expected these {len(part)}: the first "
                f"{share:.0%} of the tokens train, and the rest, with the token before, validates"
            )
        if told[name]["length"] != len(part) - T:
            wrong["windows"] = f"expected {len(part) - T} windows, got {told[name]['length']}"
        if "fault" in told[name]:
            wrong["windows"] = str(told[name]["fault"])[:300]
            continue
        for place in places[name]:
            start, stop = place if isinstance(place, list) else (place, place + T)
            for kind, ahead in (("data", 0), ("target", 1)):
                shown = words_of(came[f"{name}.{place}.{kind}"], lexicon, stop - start)
                if shown != part[start + ahead : stop + ahead]:
                    wrong["windows"] = f"the {kind} of window {place} are other words than expected"
    return wrong


def falls(numbers: list[int]) -> bool:
    return numbers == sorted(numbers, reverse=True)


def words_of(indices, lexicon: list[str], length: int) -> list:
    """The words that an array stands for; of another length than expected, none."""
    if indices.shape != (length,):
        return []
    return [lexicon[i] if 0 <= i < len(lexicon) else None for i in indices.tolist()]


# ------------------------------------------------------------------------------------------------
# Networks as classes
# ------------------------------------------------------------------------------------------------

MODEL = {
    "logits": 1,
    "state": 1,
    "only the past": 1,
    "dropout": 0.5,
    "kind": 0.5,
}


def judge_model(judge: Judge, name: str) -> dict:
    V, N, T = 11, 3, 8
    x = judge.rng.integers(0, V, (N, T))
    other = x.copy()
    other[:, 5] = (x[:, 5] + 1 + judge.rng.integers(0, V - 1, N)) % V
    sizes = {"ntoken": V, "embed_size": 6, "hidden_size": 7, "hidden_layers": 2, "seq_length": 5}
    _, came = judge.ask(
        "run_model",
        {"x": x, "other": other},
        **{"class": name, "arguments": sizes | {"dropout": 0.5}, "seed": 1},
    )
    whole, half = came["whole"], T // 2
    unlearned = judge_learning(judge, name)
    wrong = dict.fromkeys(MODEL, "")
    if whole.shape != (N, T, V) or not np.isfinite(whole).all() or np.ptp(whole) == 0:
        wrong["logits"] = f"expected logits of shape {(N, T, V)}, finite and not all the same"
        return {test: wrong["logits"] for test in MODEL}
    if unlearned:
        return dict.fromkeys(MODEL, unlearned)
    halves = np.concatenate([came["first"], came["second"]], axis=1)
    if not close(halves, whole):
        wrong["state"] = "a text read in two parts, the state handed on, is not that text at once"
    elif close(came["fresh"], came["second"]):
        wrong["state"] = "the state before a text makes no difference"
    if not close(came["alone"], whole[:1]):
        wrong["only the past"] = "a row alone gives other logits than beside other rows"
    elif not close(came["later"][:, :5], whole[:, :5]):
        wrong["only the past"] = "logits depend on words that come later"
    elif close(came["later"][:, 5], whole[:, 5]) or close(came["later"][:, 6:], whole[:, 6:]):
        wrong["only the past"] = "a word makes no difference to what follows"
    if close(came["noisy0"], came["noisy1"]):
        wrong["dropout"] = "in training mode, with dropout 0.5, two passes give the same"
    elif wrong["state"].startswith("a text"):
        wrong["dropout"] = "judged once the state is right"
    keeps = not close(came["from_ones"], came["from_zeros"])
    if half and keeps != (name == "GatedModel"):
        wrong["kind"] = (
            "expected gates that let the old state through, as in an LSTM or GRU"
            if name == "GatedModel"
            else "expected the simple recurrent layer, whose state goes through its weights alone"
        )
    return wrong


LEARNING_STEPS = 40


def judge_learning(judge: Judge, name: str) -> str:
    """What is wrong where a new network does not learn which word follows which.

    What else is asked of a network a function has too that nothing can be taught.
    """
    V, N, T = 9, 8, 9
    following = judge.rng.permutation(V)
    words = judge.rng.integers(0, V, (LEARNING_STEPS + 1, N, T))
    for t in range(1, T):
        words[:, :, t] = following[words[:, :, t - 1]]
    words, last = words[:-1], words[-1]
    sizes = {"ntoken": V, "embed_size": 16, "hidden_size": 16, "hidden_layers": 1}
    asked = {"class": name, "arguments": sizes | {"seq_length": T, "dropout": 0.0}, "seed": 1}
    _, came = judge.ask("run_learning", {"words": words, "last": last}, **asked)
    if came["logits"].shape == (N, T, V):
        share = np.mean(came["logits"].argmax(axis=-1) == following[last])
        if share >= 0.6:
            return ""
    return (
        f"after {LEARNING_STEPS} steps of Adam on a text in which each word has one that follows, "
        "the network does not say which: expected one that learns"
    )


# ------------------------------------------------------------------------------------------------
# The functions around a network
# ------------------------------------------------------------------------------------------------

EPOCH = {"steps": 1.25, "state carried": 1.25, "clipping": 2, "loss": 1.5}
EVALUATE = {"loss": 2, "loss of several rows": 1, "mode and weights": 1}
TRAIN = {"weights": 2, "train_loss": 1, "validation_loss": 1}
GENERATE = {"goes on from its history": 2, "samples": 2, "mode": 1}


class Case:
    """The network of child.py's `loop_case` in numbers, and what a plain loop does with it."""

    def __init__(self, rng, targets: int, rows: int, T: int, V: int = 7, H: int = 4):
        self.rows, self.T, self.V = rows, T, V
        self.arrays = {
            "E": rng.normal(0, 0.6, (V, H)).astype(np.float32),
            "A": rng.normal(0, 0.3, (H, H)).astype(np.float32),
            "W": rng.normal(0, 0.6, (H, V)).astype(np.float32),
            "text": rng.integers(0, V, targets + 1),
        }
        self.said = {"ntoken": V, "seq_length": T, "rows": rows, "log": LOG}

    def start(self) -> list[torch.Tensor]:
        return [torch.tensor(self.arrays[n], requires_grad=True) for n in "EAW"]

    def batches(self, text, rows: int):
        """Inputs and targets; row i goes on where row i of the batch before ended."""
        length, longer = divmod(len(text) - 1, rows)
        starts = [row * length + min(row, longer) for row in range(rows)]
        spans = [(t, min(t + self.T, length), rows) for t in range(0, length, self.T)]
        if longer:
            spans.append((length, length + 1, longer))
        for begin, end, count in spans:
            x = np.stack([text[s + begin : s + end] for s in starts[:count]])
            y = np.stack([text[s + begin + 1 : s + end + 1] for s in starts[:count]])
            yield torch.tensor(x), torch.tensor(y)

    def loss(self, weights, x, y, h):
        E, A, W = weights
        losses = []
        for t in range(x.shape[1]):
            h = h @ A + E[x[:, t]]
            losses.append(torch.nn.functional.cross_entropy(h @ W, y[:, t]))
        return torch.stack(losses).mean(), h

    def zero(self, rows: int):
        return torch.zeros(rows, self.arrays["A"].shape[0])

    def epoch(self, weights, lr: float, clip=None, carry=True) -> float:
        """One epoch of SGD in place; the mean loss."""
        total, h = [], self.zero(self.rows)
        for x, y in self.batches(self.arrays["text"], self.rows):
            loss, h = self.loss(weights, x, y, h if carry else self.zero(len(x)))
            grads = torch.autograd.grad(loss, weights)
            norm = math.sqrt(sum(float((g**2).sum()) for g in grads))
            factor = 1.0 if clip is None else min(1.0, clip / (norm + 1e-6))
            with torch.no_grad():
                for weight, grad in zip(weights, grads, strict=True):
                    weight -= lr * factor * grad
            total.append(loss.item())
            h = h.detach()
        return sum(total) / len(total)

    @torch.no_grad()
    def evaluate(self, weights, text, rows: int, carry=True, by_batch=False) -> float:
        losses, sizes, h = [], [], self.zero(rows)
        for x, y in self.batches(text, rows):
            loss, h = self.loss(weights, x, y, h[: len(x)] if carry else self.zero(len(x)))
            losses.append(loss.item())
            sizes.append(y.numel())
        return float(np.average(losses, weights=None if by_batch else sizes))


def agree(came: dict, weights) -> bool:
    return all(
        close(came[name], weight.detach().numpy())
        for name, weight in zip("EAW", weights, strict=True)
    )


def judge_epoch(judge: Judge) -> dict:
    case = Case(judge.rng, targets=4 * 5 * 8, rows=4, T=5)
    lr, clip = 0.2, 0.3
    ways = {}
    for carry in (True, False):
        plain, clipped = case.start(), case.start()
        loss = case.epoch(plain, lr, carry=carry)
        case.epoch(clipped, lr, clip, carry)
        ways[carry] = plain, clipped, loss
    told, came = judge.ask("run_epoch", case.arrays, **case.said, lr=lr, clip=None)
    carries = [carry for carry in ways if agree(came, ways[carry][0])]
    if not carries:
        said = "the weights after an epoch are not those of one step for each batch"
        if agree(came, case.start()):
            said = "the weights are what they were before: no step is made"
        wrong = dict.fromkeys(EPOCH, said)
        carries = [False]
    else:
        wrong = dict.fromkeys(EPOCH, "")
    plain, clipped, loss = ways[carries[0]]
    if not wrong["steps"] and not carries[0]:
        wrong["state carried"] = "every batch starts from the zero state: the last state is lost"
    wrong["loss"] = ""
    if not close(told["loss"], loss):
        wrong["loss"] = f"expected the mean loss of the epoch, {loss:.4f}, got {told['loss']:.4f}"
    try:
        _, came = judge.ask("run_epoch", case.arrays, **case.said, lr=lr, clip=clip)
    except Failed as failed:
        wrong["clipping"] = str(failed)
        return wrong
    if agree(came, clipped):
        wrong["clipping"] = ""
    elif agree(came, plain):
        wrong["clipping"] = "with grad_clip the steps are the same as without"
    else:
        wrong["clipping"] = "expected the norm of all gradients together to be limited to clip_val"
    return wrong


def judge_evaluate(judge: Judge) -> dict:
    case = Case(judge.rng, targets=4 * 5 * 3 + 9, rows=4, T=5)
    told, came = judge.ask("run_evaluate", case.arrays, **case.said, dropout=0.5)
    wrong = dict.fromkeys(EVALUATE, "")
    weights = case.start()
    for test, name, rows in (("loss", "one", 1), ("loss of several rows", "rows", case.rows)):
        right = case.evaluate(weights, case.arrays["text"], rows)
        if close(told[name], right):
            continue
        wrong[test] = f"expected {right:.4f} nats a token, got {told[name]:.4f}"
        for options, kind in (
            ({"by_batch": True}, "it is a mean over batches where it should be over tokens"),
            ({"carry": False}, "the state is lost between batches"),
            ({"carry": False, "by_batch": True}, "the state is lost, and batches count alike"),
        ):
            if close(told[name], case.evaluate(weights, case.arrays["text"], rows, **options)):
                wrong[test] += f". It looks as if {kind}"
                break
    if not agree(came, weights):
        wrong["mode and weights"] = "the weights are others afterwards"
    elif told["one_mode"] is not True or told["rows_mode"] is not True:
        wrong["mode and weights"] = "the model is in another mode afterwards than before"
    elif wrong["loss"]:
        wrong["mode and weights"] = "judged once the loss is right"
    return wrong


def judge_train(judge: Judge) -> dict:
    case = Case(judge.rng, targets=4 * 5 * 6, rows=4, T=5)
    case.arrays["valid"] = judge.rng.integers(0, case.V, 41)
    epochs, lr = 3, 0.2

    def run(halved=True, carry=True):
        weights, losses, scores = case.start(), [], []
        for epoch in range(epochs):
            losses.append(case.epoch(weights, lr * (0.5**epoch if halved else 1), carry=carry))
            scores.append(case.evaluate(weights, case.arrays["valid"], 1))
        return weights, losses, scores

    weights, losses, scores = run()
    told, came = judge.ask("run_train", case.arrays, **case.said, lr=lr, epochs=epochs)
    wrong = dict.fromkeys(TRAIN, "")
    if not agree(came, weights):
        wrong["weights"] = f"the weights are not those of {epochs} epochs"
        if agree(came, run(halved=False)[0]):
            wrong["weights"] += ": scheduler.step() is not called after every epoch"
        elif agree(came, run(carry=False)[0]):
            wrong["weights"] += ": the state is lost between batches"
    for name, right in (("train_loss", losses), ("validation_loss", scores)):
        if not close(told[name], right):
            shown = ", ".join(f"{x:.4f}" for x in right)
            wrong[name] = f"expected {shown} in log[{name!r}]"
    return wrong


def judge_generate(judge: Judge) -> dict:
    V, n = 7, 12
    rng = judge.rng
    history = rng.integers(1, V, 7).tolist()
    following = rng.permutation(V)
    table = np.full((V, V), -50, np.float32)
    table[np.arange(V), following] = 50
    asked = {"ntoken": V, "history": history, "len_hist": 4, "seed": 1}
    total, expected = sum(history[-4:]), []
    for _ in range(n):
        index = int(following[total % V])
        expected.append(f"w{index}")
        total += index
    told, _ = judge.ask("run_generate", {"table": table}, **asked, len_gen=n)
    wrong = dict.fromkeys(GENERATE, "")
    if told["words"] != expected:
        wrong["goes on from its history"] = (
            "from a network that leaves no choice, expected the words which follow the last "
            "len_hist words, each read back as the next input"
        )
    if told["training"] is not True:
        wrong["mode"] = "the model is in another mode afterwards than before"
    elif wrong["goes on from its history"]:
        wrong["mode"] = "judged once it goes on from its history"
    chances = rng.dirichlet(np.full(V, 3.0))
    table = np.broadcast_to(np.log(chances), (V, V)).astype(np.float32)
    words = 1500
    told, _ = judge.ask("run_generate", {"table": table}, **asked, len_gen=words)
    counts = np.array([told["words"].count(f"w{n}") for n in range(V)])
    expected = words * chances
    distance = ((counts - expected) ** 2 / expected).sum()
    if counts.sum() != words or len(told["words"]) != words:
        wrong["samples"] = f"expected {words} words of the lexicon, got {counts.sum()}"
    elif counts.max() == words:
        wrong["samples"] = "always the likeliest word: expected a draw from the distribution"
    elif distance > V + 40:  # a draw from it is beyond that once in ten million times
        wrong["samples"] = "the words do not have the frequencies that the network says"
    return wrong


# ------------------------------------------------------------------------------------------------
# The networks that were handed in, and the figures
# ------------------------------------------------------------------------------------------------


def judge_network(judge: Judge, name: str, files: dict, book) -> Mark:
    title, path = f"LM networks: {name}", f"networks/{name}.pt"
    worth = judge.points["networks"] / len(NETWORKS)
    if path not in files:
        return Mark(title, 0, worth, f"{path} is missing")
    threshold = judge.said["thresholds"][judge.said["book"]]
    try:
        judge.ready()
        reached = perplexity(judge, name, path, book)
    except Failed as failed:
        return Mark(title, 0, worth, str(failed))
    except UNASKED:
        return Mark(title, 0, worth, "the process answered with something else than asked")
    novel = CATALOGUE[judge.said["book"]].gutenberg is not None  # the practice corpus is far easier
    if novel and reached < SUSPICIOUS:
        judge.flags.append(
            f"{path} has {reached:.1f}, below all that we measured, "
            "three books and adaptation included"
        )
    most = threshold * judge.said["thresholds"]["nothing_from"]
    share = min(1.0, max(0.0, (most - reached) / (most - threshold)))
    said = f"validation perplexity {reached:.1f}, asked for at most {threshold:g}"
    return Mark(title, worth * share, worth, said)


def perplexity(judge: Judge, name: str, path: str, book) -> float:
    """Of the validation part, read in ROWS rows side by side, each from the zero state.

    A word is shown after the network has given its logits for that place, so that nothing in the
    submission's process can use it before.
    """
    tokens = tokenize(book)
    tokens = tokens[int(0.8 * len(tokens)) - 1 :]
    asked = {"path": judge.sandbox.handed_in(path), "class": NETWORKS[name], "rows": ROWS}
    told, _ = judge.sandbox.ask("open_network", judge.seconds, **asked)
    lexicon = [str(word) for word in told["lexicon"]]
    index_of = {word: index for index, word in enumerate(lexicon)}
    length = (len(tokens) - 1) // ROWS
    words = [tokens[row * length : row * length + length + 1] for row in range(ROWS)]
    places = np.array([[index_of.get(word, -1) for word in row] for row in words])
    deadline = time.monotonic() + judge.said["limits"]["seconds_for_a_network"]
    total = 0.0
    for t in range(length):
        left = deadline - time.monotonic()
        if left <= 0:
            judge.sandbox.stop()
            raise Failed("the network took too long to read the validation part")
        x = np.maximum(places[:, t], 0)
        _, came = judge.sandbox.ask("read_words", min(left, judge.seconds), {"x": x})
        logits = came["logits"]
        if logits.shape != (ROWS, len(lexicon)):
            wanted = f"{(ROWS, len(lexicon))}, one for each word of the lexicon"
            raise Failed(f"expected logits of shape {wanted}, got {logits.shape}")
        if not np.isfinite(logits).all():
            raise Failed("its logits are not finite numbers")
        logits = logits.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        scores = logits[np.arange(ROWS), places[:, t + 1]] - np.log(np.exp(logits).sum(axis=1))
        total += np.where(places[:, t + 1] < 0, UNKNOWN, scores).sum()
    return math.exp(min(-total / (ROWS * length), 700))


def judge_figures(said: dict, files: dict) -> list[Mark]:
    """In a process of its own that runs nothing of the submission: an image may be hostile, too."""
    worth = said["points"]["LM"]["figures"] / len(FIGURES)
    figures = {name: files[name] for name in FIGURES if name in files}
    tests = []
    with Sandbox(figures, said["limits"]) as sandbox:
        for name in FIGURES:
            title = f"LM figures: {name}"
            if name not in figures:
                tests.append(Mark(title, 0, worth, f"{name} is missing"))
                continue
            try:
                if not sandbox.runs:
                    sandbox.start(libraries=("numpy", "pil"))
                told, _ = sandbox.ask("look_at", 20, path=sandbox.handed_in(name))
            except Failed as failed:
                tests.append(Mark(title, 0, worth, f"it is no readable image: {failed}"))
                continue
            width, height, levels = (told[key] for key in ("width", "height", "levels"))
            size = f"an image of {width} by {height} pixels"
            if width < 300 or height < 200:
                tests.append(Mark(title, 0, worth, f"{size}: expected at least 300 by 200"))
            elif levels < 8:
                tests.append(Mark(title, 0, worth, f"{size} that shows nothing"))
            else:
                tests.append(Mark(title, worth, worth, size))
    return tests
