"""Reversing digits: a task for an encoder-decoder with one right answer and every length.

"3 1 4 1" becomes "1 4 1 3". The first digit to write is the last one read, the last one to write
was read first: the way from a digit to its answer is from 1 to 2·length - 1 steps long.
"""

import numpy as np

from blg561.layer.encoder_decoder import END, Adam, EncoderDecoder, padded

SYMBOLS = 13  # PAD, BEGIN, END and ten digits
FIRST_DIGIT = 3


def pairs(rng, n, shortest, longest):
    """n random numbers of `shortest` to `longest` digits → source (n, S), target (n, T)."""
    lengths = rng.integers(shortest, longest + 1, n)
    digits = [rng.integers(FIRST_DIGIT, SYMBOLS, length) for length in lengths]
    return padded(digits), padded([[*row[::-1], END] for row in digits])


def train(
    attention,
    seed,
    steps=1000,
    forcing=lambda done: 1.0,
    hidden_size=64,
    learning_rate=0.02,
    watch=None,
    **layers,
):
    """A network trained on numbers of 4 to 12 digits, 64 of them a step → it, losses (steps,).

    attention: as for `EncoderDecoder`.
    seed: an integer; it decides the first weights and the numbers.
    forcing: the share of the training that is done, from 0 to 1 → the probability with which the
        decoder reads the right symbol and not its own (`EncoderDecoder.sampled_inputs`).
    learning_rate: of the first step; it falls linearly to 0.
    watch: called after each step with the number of steps done and the network.
    layers: `encoder` and `decoder` of `EncoderDecoder`.
    """
    rng = np.random.default_rng(seed)
    model = EncoderDecoder(SYMBOLS, SYMBOLS, 16, hidden_size, attention, rng, np.float32, **layers)
    optimiser = Adam(model)
    losses = np.empty(steps)
    for step in range(steps):
        done = step / steps
        source, target = pairs(rng, 64, 4, 12)
        probability = forcing(done)
        inputs = (
            None if probability == 1 else model.sampled_inputs(source, target, probability, rng)
        )
        losses[step] = model.loss(source, target, inputs)
        model.backward()
        optimiser.learning_rate = learning_rate * (1 - done)
        optimiser.step()
        if watch:
            watch(step + 1, model)
    return model, losses


def whole_right(model, length, n=200, seed=1):
    """The share of n numbers of this length that the decoder, left alone, reverses rightly."""
    source, target = pairs(np.random.default_rng([seed, length]), n, length, length)
    found = model.greedy(source, length + 2)
    right = [tuple(row[:-1]) for row in target.tolist()]
    hits = [
        one.finished and one.symbols == answer for one, answer in zip(found, right, strict=True)
    ]
    return sum(hits) / n


def position_right(model, length, forcing, n=200, seed=1):
    """The share of right symbols at each position, (length + 1,), `END` the last.

    forcing: 1 where the decoder reads the right symbols, 0 where it reads its own.
    """
    rng = np.random.default_rng([seed, length])
    source, target = pairs(rng, n, length, length)
    logits = model.forward(source, model.sampled_inputs(source, target, forcing, rng))
    return (logits.argmax(axis=-1) == target).mean(axis=0)
