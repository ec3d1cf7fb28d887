"""Training, and the two error rates: of words and of phonemes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from blg561.errors import TrainingDiverged
from blg561.language_model import checkpoints
from blg561.language_model.checkpoints import CheckpointError
from blg561.language_model.training import check_precision, default_precision
from blg561.layer.encoder_decoder import BEGIN, PAD
from blg561.spelling.data import (
    Dictionary,
    letters_to_symbols,
    sound_to_symbols,
)
from blg561.spelling.decoding import padded, pronounce
from blg561.spelling.model import SpellingModel
from blg561.spelling.recipes import Recipe

FORMAT = "blg561 training of spelling, version 1"

Pair = tuple[list[int], list[int]]


def pairs_of(words: Dictionary) -> list[Pair]:
    """(letters, phonemes and END) as symbols, one for every pronunciation of every word."""
    return [
        (letters_to_symbols(word), sound_to_symbols(sound))
        for word, sounds in words.items()
        for sound in sounds
    ]


def batches(pairs: list[Pair], batch_size: int, rng) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """All pairs as (source (N, S), target (N, T)), N at most `batch_size`, in a random order.

    Pairs of the same lengths come together, so that there is little padding.
    """
    noise = rng.random(len(pairs))
    order = sorted(range(len(pairs)), key=lambda k: (len(pairs[k][0]), len(pairs[k][1]), noise[k]))
    starts = rng.permutation(range(0, len(pairs), batch_size))
    parts = ([pairs[k] for k in order[start : start + batch_size]] for start in starts)
    return [tuple(map(padded, zip(*part, strict=True))) for part in parts]


def losses_of(model, source: torch.Tensor, target: torch.Tensor, label_smoothing=0.0):
    """Two means per symbol written, in nats; the decoder reads the right ones (teacher forcing).

    The first is what is trained: the cross-entropy to a target of which this share is spread evenly
    over all symbols. The second is the loss, with nothing spread. Padding counts for nothing.
    """
    inputs = torch.cat([torch.full_like(target[:, :1], BEGIN), target[:, :-1]], dim=1)
    logits = model(source, inputs).float()
    arguments = dict(input=logits.flatten(0, 1), target=target.flatten(), ignore_index=PAD)
    trained = torch.nn.functional.cross_entropy(**arguments, label_smoothing=label_smoothing)
    return trained, torch.nn.functional.cross_entropy(**arguments)


def build(recipe: Recipe) -> SpellingModel:
    """The network with seeded weights."""
    torch.manual_seed(recipe.seed)
    names = "embed_size", "hidden_size", "attention", "dropout", "encoder_layers"
    return SpellingModel(**{name: getattr(recipe, name) for name in names})


def build_optimizer(recipe: Recipe, model, steps: int):
    """AdamW and its schedule of so many steps in all: up linearly, down along half a cosine."""
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        fused=True,  # one pass over the weights instead of one for each operation
    )
    rising = max(1, round(recipe.warmup * steps))

    def factor(step):
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def train_one_epoch(
    model, pairs, optimizer, scheduler, recipe: Recipe, rng, precision="float32"
) -> float:
    """One pass over `pairs`; the mean loss in nats per symbol, of dropout and nothing smoothed.

    The recipe has the size of a batch, the smoothing and the clipping. The schedule takes a step
    after every batch. `precision` "bfloat16" computes the matrix products in that type.

    Raises TrainingDiverged before a step that would put numbers into the weights that are not
    finite.
    """
    total, symbols = 0.0, 0
    model.train()
    for source, target in batches(pairs, recipe.batch_size, rng):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            trained, loss = losses_of(model, source, target, recipe.label_smoothing)
        optimizer.zero_grad()
        trained.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_val)
        if not norm.isfinite():
            raise TrainingDiverged(f"loss {loss.item():.6g}, gradient norm {norm.item():.6g}")
        optimizer.step()
        scheduler.step()
        count = (target != PAD).sum().item()
        total += loss.item() * count
        symbols += count
    return total / symbols


def train(
    recipe: Recipe, words: Dictionary, path: Path | None = None, report=None, precision="auto"
) -> tuple[SpellingModel, dict]:
    """Carry out a recipe on the words → the network, and per epoch its loss and its seconds.

    path: of a checkpoint that is written after every epoch; where there is one of the same recipe,
        training goes on after it, and ends with the very weights that it would have had.
    report: called with the network and the log after every epoch.
    precision: "float32", "bfloat16", or "auto" for `default_precision`.

    Raises ValueError for another precision, TrainingDiverged as `train_one_epoch`, CheckpointError
    where `path` is damaged or of another training.
    """
    check_precision(precision, "auto")
    precision = default_precision("cpu") if precision == "auto" else precision
    pairs = pairs_of(words)
    model = build(recipe)
    steps = recipe.epochs * math.ceil(len(pairs) / recipe.batch_size)
    optimizer, scheduler = build_optimizer(recipe, model, steps)
    log = {"loss": [], "seconds": []}
    settings = {**vars(recipe), "pairs": len(pairs), "precision": precision}
    if path is not None and Path(path).exists():
        log = restore(path, settings, model, optimizer, scheduler)
    for epoch in range(len(log["loss"]), recipe.epochs):
        rng = np.random.default_rng([recipe.seed, epoch])
        start = time.process_time()
        loss = train_one_epoch(model, pairs, optimizer, scheduler, recipe, rng, precision)
        log["loss"].append(loss)
        log["seconds"].append(time.process_time() - start)
        if path is not None:
            contents = dict(format=FORMAT, settings=settings, log=log, weights=model.state_dict())
            contents |= dict(optimizer=optimizer.state_dict(), scheduler=scheduler.state_dict())
            checkpoints.save(path, contents | {"random_state": torch.get_rng_state()})
        if report is not None:
            report(model, log)
    return model.eval(), log


def restore(path: Path, settings: dict, model, optimizer, scheduler) -> dict:
    """Put what the checkpoint holds into place; its log."""
    found = checkpoints.load(path, formats=(FORMAT,))
    if found["settings"] != settings:
        raise CheckpointError(f"{path} belongs to another training: {found['settings']}")
    model.load_state_dict(found["weights"])
    optimizer.load_state_dict(found["optimizer"])
    scheduler.load_state_dict(found["scheduler"])
    torch.set_rng_state(found["random_state"])
    return found["log"]


@dataclass(frozen=True)
class Scores:
    """What a network made of some words, word by word.

    words: W of them. sounds: what it wrote for each.
    wrong: (W,), whether that is none of the listed pronunciations.
    edits: (W,), the smallest number of phonemes to insert, delete or replace on the way to one of
        them. lengths: (W,), how many that one has.
    """

    words: tuple[str, ...]
    sounds: tuple[tuple[str, ...], ...]
    wrong: np.ndarray
    edits: np.ndarray
    lengths: np.ndarray

    @property
    def word_error_rate(self) -> float:
        return float(self.wrong.mean())

    @property
    def phoneme_error_rate(self) -> float:
        """Edits per phoneme of the nearest pronunciations, over all words."""
        return float(self.edits.sum() / self.lengths.sum())


def evaluate(model, words: Dictionary, width: int = 1) -> Scores:
    """The scores of beam search of this width (1: greedy) on the words, in float32."""
    sounds = pronounce(model, words, width)
    return score(words, [found[0][0] for found in sounds])


def score(words: Dictionary, sounds) -> Scores:
    """The scores of these sounds, one for each word."""
    edits, lengths = [], []
    for listed, sound in zip(words.values(), sounds, strict=True):
        distance, length = min((edit_distance(sound, one), len(one)) for one in listed)
        edits.append(distance)
        lengths.append(length)
    edits = np.array(edits)
    return Scores(tuple(words), tuple(sounds), edits > 0, edits, np.array(lengths))


def edit_distance(one, other) -> int:
    """The fewest insertions, deletions and replacements from one sequence to the other."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        before, row = row, [i]
        for j, b in enumerate(other, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]
