"""Scores of the parts, and the mixtures that rows make of them.

The scores of each part are kept in models/leaderboard/, with every setting that was tried: a
mixture is scored from those of its parts.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from benchmarks.leaderboard import files, networks
from benchmarks.leaderboard.parts import (
    CachePart,
    DynamicPart,
    NetworkPart,
    NGramPart,
    OnlineNGramPart,
    OnlinePooledNGramPart,
    Part,
    PlainStepsPart,
    PooledNGramPart,
    UniformPart,
    UnseenPart,
    describe,
)
from benchmarks.leaderboard.rows import Row
from benchmarks.leaderboard.text import Text, other_books, pooled, read_text
from blg561.language_model import checkpoints
from blg561.language_model.ngrams import KneserNey, OnlineKneserNey, Restricted, Uniform, Unseen
from blg561.language_model.systems import (
    BLOCK,
    Cache,
    DynamicEvaluation,
    Network,
    System,
    best_weights,
)
from blg561.language_model.training import perplexity


@functools.singledispatch
def system(part: Part, book: str, **settings) -> System:
    """The part with one choice of its settings, ready to read the book."""
    raise TypeError(f"no system is known for a {type(part).__name__}")


@system.register
def _(part: UniformPart, book):
    return Uniform(read_text(book).ntoken)


@system.register
def _(part: UnseenPart, book):
    text = read_text(book)
    return Unseen(torch.bincount(text.training, minlength=text.ntoken))


@system.register
def _(part: NGramPart, book):
    text = read_text(book)
    return KneserNey(text.training, text.ntoken, part.order)


@system.register
def _(part: OnlineNGramPart, book):
    text = read_text(book)
    # the validation part begins with the last word of the training part
    return OnlineKneserNey(text.training[:-1], text.ntoken, part.order, part.block)


@system.register
def _(part: PooledNGramPart, book):
    ntoken = read_text(book).ntoken
    return Restricted(KneserNey(pooled(book), ntoken + 1, part.order), ntoken)


@system.register
def _(part: OnlinePooledNGramPart, book):
    ntoken = read_text(book).ntoken
    ngrams = OnlineKneserNey(pooled(book)[:-1], ntoken + 1, part.order, part.block)
    return Restricted(ngrams, ntoken)


@system.register
def _(part: NetworkPart, book):
    return Network(networks.trained(part.recipe, book))


@system.register
def _(part: DynamicPart, book, learning_rate):
    return DynamicEvaluation(
        networks.trained(part.recipe, book),
        learning_rate,
        part.block,
        part.decay,
        networks.training_scale(part.recipe, book),
        part.epsilon,
    )


@system.register
def _(part: PlainStepsPart, book, learning_rate):
    return DynamicEvaluation(networks.trained(part.recipe, book), learning_rate, part.block)


@system.register
def _(part: CachePart, book, theta):
    base = system(part.base, book, **choose(part.base, book))
    return Cache(base, part.size, theta, weight=1.0)


class Scores(NamedTuple):
    """Nats of each word (n,): with the lexicon of the book, and with that of training and <unk>."""

    whole: torch.Tensor
    unk: torch.Tensor


def with_unk(distributions: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """(n, V) → (n, seen words + 1): the last column is the sum of all words that are not `seen`."""
    unseen = distributions[:, ~seen].sum(dim=1, keepdim=True)
    return torch.cat([distributions[:, seen], unseen], dim=1)


def score(reader: System, text: Text, words: int) -> Scores:
    """Scores of the first `words` of the validation part, as `System.score` has them."""
    reader.reset()
    parts = []
    for start in tqdm(range(0, words, BLOCK), leave=False, unit="block"):
        targets = text.targets[start : min(start + BLOCK, words)]
        p, _ = reader.predict(text.validation[start : start + len(targets)])
        p_unk = with_unk(p, text.seen)
        parts.append((nats(p, targets), nats(p_unk, text.place[targets])))
    return Scores(*map(torch.cat, zip(*parts, strict=True)))


def nats(distributions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return -distributions.gather(1, targets[:, None])[:, 0].log()


# with --fresh the files of scores written since, which alone are trusted then
rewritten: set[Path] | None = None


def stored_scores(part: Part, book: str, settings: dict, words: int) -> Scores:
    """`score` of a part with one choice of settings, from its file if there is one."""
    key = files.digest([describe(part) | settings | base_settings(part, book), words])
    path = files.MODELS / book / "scores" / f"{key}.pt"
    with files.locked(path.with_suffix(".lock")):
        if path.exists() and (rewritten is None or path in rewritten):
            contents = checkpoints.load(path)
            return Scores(contents["whole"], contents["unk"])
        scores = score(system(part, book, **settings), read_text(book), words)
        checkpoints.save(path, scores._asdict())
        if rewritten is not None:
            rewritten.add(path)
    say(f"{book}: {type(part).__name__} {settings or ''} scored {words:,} words")
    return scores


def base_settings(part: Part, book: str) -> dict:
    if not isinstance(part, CachePart):
        return {}
    return {"base": describe(part.base) | choose(part.base, book)}


def choose(part: Part, book: str) -> dict:
    """The best of the settings that a part tries, on the first half of the validation part."""
    tried = part.tried()
    if len(tried) == 1:
        return tried[0]
    half = read_text(book).half
    beside = []
    if isinstance(part, CachePart):
        beside = [scores_of(part.base, book).whole[:half]]
    losses = []
    for settings in tried:
        scores = [*beside, stored_scores(part, book, settings, half).whole]
        losses.append(mix(scores, best_weights(scores)).mean().item())
    return tried[losses.index(min(losses))]


def scores_of(part: Part, book: str) -> Scores:
    """Scores of the whole validation part, with the settings that were chosen on its first half."""
    return stored_scores(part, book, choose(part, book), len(read_text(book).targets))


def mix(scores: Iterable[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Nats (n,) of an `Interpolation` from those of its parts: the probabilities' weighted mean."""
    weights = torch.tensor(weights, dtype=torch.float64)[:, None]
    return -torch.logsumexp(weights.log() - torch.stack(list(scores)), dim=0)


def build(row: Row, stored: dict | None = None) -> dict:
    """The row as the file of results has it; takes as long as what it needs and is not stored.

    Where the row is `stored` with fewer seeds, what these reached stays, and the others are built.
    """
    start = time.perf_counter()
    text = read_text(row.book)
    known = known_results(stored)
    missing = (parts for parts in row.systems if files.digest(describe(parts)) not in known)
    new = replace(row, systems=tuple(missing))
    known |= {files.digest(describe(parts)): measure(parts, row.book) for parts in new.systems}
    precisions = {networks.precision(recipe, row.book) for recipe in new.recipes()}
    if len(new.systems) < len(row.systems):
        precisions |= set(stored["precision"])
    read_elsewhere = {}
    if row.reads_other_books:
        elsewhere = torch.bincount(other_books(row.book), minlength=text.ntoken + 1)[:-1] > 0
        read_elsewhere = {"unseen_in_other_books": (~text.seen & elsewhere).sum().item()}
    return {
        "book": row.book,
        "name": row.name,
        "systems": describe(row.systems),
        "results": [known[files.digest(describe(parts))] for parts in row.systems],
        "precision": sorted(precisions),
        "lexicon": text.ntoken,
        "unseen_in_lexicon": (~text.seen).sum().item(),
        **read_elsewhere,
        "unseen_words": round((~text.seen[text.targets]).double().mean().item(), 5),
        "seconds": round(time.perf_counter() - start, 1),
        "torch": torch.__version__,
    }


def known_results(stored: dict | None) -> dict[str, dict]:
    """What each system of a stored row reached, by the digest of its description."""
    if stored is None:
        return {}
    return dict(zip(map(files.digest, stored["systems"]), stored["results"], strict=True))


def measure(parts: tuple[Part, ...], book: str) -> dict:
    """What one system reaches, with the settings and weights chosen for it."""
    scores, weights = mixed(parts, book)
    return {
        **figures(scores, read_text(book)),
        "weights": [round(weight, 5) for weight in weights],
        "settings": [choose(part, book) for part in parts],
    }


def mixed(parts: tuple[Part, ...], book: str) -> tuple[Scores, list[float]]:
    """Scores of the mixture, and its weights, which are best on the first half."""
    scores = [scores_of(part, book) for part in parts]
    half = read_text(book).half
    weights = best_weights([s.whole[:half] for s in scores])
    return Scores(*(mix(kind, weights) for kind in zip(*scores, strict=True))), weights


def figures(scores: Scores, text: Text) -> dict:
    whole, unk = scores
    unseen = ~text.seen[text.targets]
    return {
        "perplexity": round(perplexity(whole.mean().item()), 3),
        "first_half": round(perplexity(whole[: text.half].mean().item()), 3),
        "second_half": round(perplexity(whole[text.half :].mean().item()), 3),
        "bits_per_character": round(whole.sum().item() / math.log(2) / text.characters, 4),
        "unseen_share": round((whole[unseen].sum() / whole.sum()).item(), 4),
        "perplexity_unk": round(perplexity(unk.mean().item()), 3),
    }


def say(text: str):
    print(text, file=sys.stderr, flush=True)
