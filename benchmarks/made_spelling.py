"""The made spelling system of lesson 07: what was tried for the network without attention.

    python -m benchmarks.made_spelling  # five minutes of one core; goes on where it stopped

The words are those of the lesson, 2700 to learn and 300 that are new. Each setting changes the
lesson's in what its name says and is trained from seed 0. results/made_spelling.json has, by
setting, the share of the new words that are wrong.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks import results
from blg561.spelling import data, training
from blg561.spelling.recipes import Recipe

LESSON = Recipe(
    attention=False,
    embed_size=32,
    hidden_size=64,
    encoder_layers=1,
    label_smoothing=0.0,
    dropout=0.0,
    epochs=24,
    batch_size=64,
    learning_rate=0.016,
)
SETTINGS = {
    "as in the lesson": {},
    "rate 0.004": {"learning_rate": 0.004},
    "rate 0.008": {"learning_rate": 0.008},
    "rate 0.03": {"learning_rate": 0.03},
    "8 epochs": {"epochs": 8},
    "batches of 32": {"batch_size": 32},
    "128 units": {"hidden_size": 128},
    "128 units, rate 0.008": {"hidden_size": 128, "learning_rate": 0.008},
    "256 units, rate 0.004": {"hidden_size": 256, "learning_rate": 0.004},
    "256 units, rate 0.004, dropout 0.3": {
        "hidden_size": 256,
        "learning_rate": 0.004,
        "dropout": 0.3,
    },
}


def main():
    torch.set_num_threads(1)
    parts = data.split(data.made(seed=0, n=3000))
    held_out = {**parts["validation"], **parts["test"]}
    found = results.read("made_spelling") or {}
    for name, changes in SETTINGS.items():
        if name not in found:
            model, _ = training.train(replace(LESSON, **changes), parts["train"])
            found[name] = round(training.evaluate(model, held_out).word_error_rate, 4)
            results.write("made_spelling", found)
        print(f"{name:36} {100 * found[name]:.1f} % wrong", flush=True)


if __name__ == "__main__":
    main()
