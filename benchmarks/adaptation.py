"""What is put on the shipped network of lesson 5, one thing at a time, and how sure a gain is.

    python -m benchmarks.adaptation

*Pride and Prejudice*, the network that comes with the package (seed 0). Its rivals while it reads:
counts that go on, plain SGD steps, steps divided by the gradient's usual size, the same with a
pull back to the trained weights and a rate chosen anew. And what the lexicon gives away: the
Good-Turing mass, spread over the words that training never showed, without learning anything.
Learning rates, decay and mixture weights are chosen on the first half of the validation part.

Each system has two intervals over the text, by the leaderboard's bootstrap (blocks of 500 words):
of its perplexity, and of the nats a word that it gains on the network. results/adaptation.json has
it all; the nats of each system are kept in models/adaptation/, so that an interrupted run goes on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import results
from benchmarks.leaderboard import bootstrap
from blg561.language_model import books, experiment, pretrained, recipes
from blg561.language_model.ngrams import KneserNey, OnlineKneserNey, Unseen, unseen_mass
from blg561.language_model.systems import (
    DynamicEvaluation,
    Interpolation,
    Network,
    best_weights,
    gradient_scale,
)
from blg561.language_model.training import perplexity

ROOT = Path(__file__).resolve().parents[1]
SCORES = ROOT / "models" / "adaptation"
BOOK = "pride_prejudice"
SGD_RATES = 0.25, 0.5, 1.0
RMS_RATES = 1e-4, 1.5e-4, 2e-4  # the first is the best of the leaderboard's four
DECAYS = 2e-4, 5e-4, 1e-3, 1e-2


def kept(name: str, score: Callable[[], torch.Tensor]) -> torch.Tensor:
    """The nats that `score` computes, or those of an earlier run."""
    path = SCORES / f"{name}.pt"
    if not path.exists():
        SCORES.mkdir(parents=True, exist_ok=True)
        torch.save(score(), path)
    print(f"{name}: {perplexity(torch.load(path).mean().item()):.2f}", flush=True)
    return torch.load(path)


def described(nats: torch.Tensor, base: torch.Tensor, **settings) -> dict:
    half = len(nats) // 2
    parts = {"perplexity": nats, "first_half": nats[:half], "second_half": nats[half:]}
    scores = {name: round(perplexity(n.mean().item()), 3) for name, n in parts.items()}
    nats, base = nats.numpy(), base.numpy()
    interval = bootstrap.figures(nats)["interval"]
    return {**scores, "interval": interval, "gain": bootstrap.gain(nats, base), **settings}


def mixed(*parts: torch.Tensor) -> tuple[torch.Tensor, list[float]]:
    """Nats of the mixture with the weights that are best on the first half, and these."""
    weights = best_weights([nats[: len(nats) // 2] for nats in parts])
    weighted = zip(weights, parts, strict=True)
    return -sum(w * torch.exp(-nats) for w, nats in weighted).log(), [round(w, 5) for w in weights]


def scored() -> dict:
    recipe = recipes.LADDER["averaged"]
    model, lexicon = pretrained.load(BOOK, "averaged")
    trainset, validset = (
        part.with_lexicon(lexicon) for part in experiment.build_datasets(recipe, books.find(BOOK))
    )
    text, counts = validset.data, trainset.counts()
    half = text[: (len(text) - 1) // 2 + 1]
    base = kept("network", lambda: Network(model).score(text))
    rows = {"network": described(base, base)}

    mass = unseen_mass(counts)
    flat = Unseen(counts)
    spread = Interpolation([Network(model), flat], [1 - mass, mass])
    nats = kept("unseen", lambda: spread.score(text))
    rows["unseen_words"] = described(nats, base, mass=round(mass, 5))
    training, V = trainset.data[:-1], len(lexicon)  # `text` begins with the last word
    ngrams = {
        "kneser_ney_5": kept("kneser_ney", lambda: KneserNey(training, V).score(text)),
        "kneser_ney_5_online": kept("online", lambda: OnlineKneserNey(training, V).score(text)),
    }
    for name, nats in ngrams.items():
        rows[name] = described(nats, base)
        nats, weights = mixed(base, nats)
        rows[f"with_{name}"] = described(nats, base, weights=weights)

    def chosen(name, settings, build):
        """The nats with the setting that is best on the first half."""
        tried = {
            setting: perplexity(
                kept(f"{name}-{setting}", lambda s=setting: build(s)(half)).mean().item()
            )
            for setting in settings
        }
        best = min(tried, key=tried.get)
        nats = kept(f"{name}-whole", lambda: build(best)(text))
        return nats, {"chosen": best, "tried": {str(s): round(p, 3) for s, p in tried.items()}}

    loader = experiment.build_loaders(recipe, trainset, validset)[0]
    scale = gradient_scale(model, loader)

    def rms(setting):
        rate, decay = setting
        return DynamicEvaluation(model, rate, decay=decay, scale=scale).score

    free, settings = chosen("rms", [(rate, 0.0) for rate in RMS_RATES], rms)
    rows["dynamic_rms"] = described(free, base, **settings)
    nats, settings = chosen("rms_pulled", itertools.product(RMS_RATES, DECAYS), rms)
    over = bootstrap.gain(nats.numpy(), free.numpy())
    rows["dynamic_rms_pulled"] = described(nats, base, **settings, gain_over_dynamic_rms=over)
    nats, settings = chosen("sgd", SGD_RATES, lambda rate: DynamicEvaluation(model, rate).score)
    rows["dynamic_sgd"] = described(nats, base, **settings)
    return rows


def main():
    results.write("adaptation", scored())
    print(json.dumps(results.read("adaptation"), indent=2))


if __name__ == "__main__":
    main()
