"""The language model in NumPy beside the same network in PyTorch: tokens per second.

    python -m benchmarks.numpy_language_model
    python -m benchmarks.numpy_language_model --threads 1 --seconds 5

Both have the same weights (one layer, tied, float32) and read the same batches.

    training    20 rows of 35 words: loss, gradients, a step of SGD with clipping
    evaluation  a row of 512 words: loss alone, as exact evaluation reads a book

The two run in turns, so that a busy machine is busy for both. Tokens per second come from the
median time of the rounds, a ratio is the median of the rounds' ratios of times: 2 says that NumPy
takes twice as long. "gru" is the one whose reset gate acts before the product. PyTorch has no
kernel for it, so that both go step by step.
"""

import statistics

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from benchmarks.layers import command_line, in_turns, ratio
from blg561.language_model.conversion import to_torch
from blg561.layer import NumpyLanguageModel

SIZES = [(600, 128), (6400, 256)]  # V and H: about those of the practice corpus, of a novel
CELLS = ["rnn", "lstm", "gru"]
LEARNING_RATE, CLIP_VAL = 0.1, 0.25
HEADER = """\
                  |      training, tokens/s      |     evaluation, tokens/s
(V, H)            |   NumPy   PyTorch    ratio   |   NumPy   PyTorch    ratio"""


def batch(V, N, T):
    words = np.random.default_rng(0).integers(0, V, (N, T + 1))
    return words[:, :-1], words[:, 1:]


def numpy_training(model, x, target):
    def run():
        loss, _ = model.loss(x, target, model.initialize(len(x)))
        model.backward()
        model.step(LEARNING_RATE, CLIP_VAL)
        return float(loss)

    return run


def torch_training(model, x, target):
    x, target = torch.from_numpy(x), torch.from_numpy(target)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def run():
        logits, _ = model(x, model.initialize(len(x)))
        loss = cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_VAL)
        optimizer.step()
        return loss.item()

    return run


def numpy_evaluation(model, x, target):
    return lambda: float(model.loss(x, target, model.initialize(len(x)), training=False)[0])


def torch_evaluation(model, x, target):
    x, target = torch.from_numpy(x), torch.from_numpy(target)

    @torch.no_grad()
    def run():
        logits, _ = model(x, model.initialize(len(x)))
        return cross_entropy(logits.flatten(0, 1), target.flatten()).item()

    return run


def columns(ours, theirs, tokens, seconds):
    """Tokens per second of the two functions and the ratio of their times."""
    np.testing.assert_allclose(ours(), theirs(), rtol=1e-5)
    times = in_turns([ours, theirs], seconds)
    speeds = " ".join(f"{1000 * tokens / statistics.median(its):9.0f}" for its in times)
    return f"{speeds} {ratio(*times):8.2f}"


def row(V, H, cell, seconds):
    model = NumpyLanguageModel(
        V, H, H, 1, dropout=0.0, cell=cell, tie_weights=True, rng=0, dtype=np.float32
    )
    peer = to_torch(model)
    x, target = batch(V, 1, 512)
    evaluation = columns(
        numpy_evaluation(model, x, target), torch_evaluation(peer, x, target), x.size, seconds
    )
    x, target = batch(V, 20, 35)
    training = columns(
        numpy_training(model, x, target), torch_training(peer, x, target), x.size, seconds
    )
    return f"{(V, H)!s:12} {cell:4} | {training}  | {evaluation}"


def lines(seconds):
    for V, H in SIZES:
        for cell in CELLS:
            yield row(V, H, cell, seconds)


if __name__ == "__main__":
    command_line(__spec__.name, __doc__, HEADER, lines)
