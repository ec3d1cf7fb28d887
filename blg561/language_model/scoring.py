"""The exact score of a network on a book, and in words what it means."""

from __future__ import annotations

import math

import torch

from blg561.errors import InputError
from blg561.language_model.dataset import Dataset, evaluation_loader
from blg561.language_model.models import LanguageModel
from blg561.language_model.training import evaluate, perplexity


def protocol(validset: Dataset, left_out: int = 0) -> dict[str, str]:
    """What a perplexity on `validset` means, in words.

    left_out: validation tokens that are not scored, their words being unknown to the network.
    """
    lexicon = f"all {len(validset.unique_data):,} words of the book"
    if left_out:
        lexicon = (
            f"the network's {len(validset.unique_data):,} words; {left_out:,} validation tokens "
            "are other words and left out"
        )
    return {
        "tokens": "lower-case words and each of . , ; : ! ?",
        "lexicon": lexicon,
        "split": f"the first {100 * validset.train_split:g} % of the tokens train, the rest "
        "validates",
        "scored": f"{len(validset.data) - 1:,} validation tokens, each once, after all those "
        "before it",
    }


def score(model: LanguageModel, lexicon: list[str], path) -> dict:
    """Exact validation loss (nats and bits per token) and perplexity on the book at `path`.

    Words are matched by their letters, so that the book may be another edition than the one that
    the network was trained on; see `Dataset.with_lexicon` for words that it does not know.

    Raises InputError for a book in other words than the network's and for a network whose
    perplexity is infinite, BookError as `Dataset`.
    """
    whole = Dataset(1, path, train=False)
    validset = whole.with_lexicon(lexicon)
    left_out = len(whole.data) - len(validset.data)
    loss = evaluate(model, torch.nn.CrossEntropyLoss(), evaluation_loader(validset))
    if not math.isfinite(perplexity(loss)):
        raise InputError(f"expected a network that was trained, got one with a loss of {loss:.6g}")
    return {
        "perplexity": perplexity(loss),
        "loss": loss,
        "bits": loss / math.log(2),
        "tokens_scored": len(validset.data) - 1,
        "tokens_left_out": left_out,
        "protocol": protocol(validset, left_out),
    }
