"""Text from a trained network: one word sampled at a time, each read back as the next input."""

from __future__ import annotations

import difflib
import operator

import torch

from blg561.errors import InputError
from blg561.language_model.dataset import tokenize
from blg561.language_model.models import evaluating

COLDEST = 1e-30  # a float32 divided by less is soon no number


@torch.no_grad()
def generate(
    model,
    data,
    data_idx_dict,
    idx_data_dict,
    len_hist,
    len_gen,
    device="cpu",
    *,
    temperature=1.0,
    top_k=None,
    top_p=None,
    seed=None,
) -> list[str]:
    """Sample `len_gen` words that follow the last `len_hist` words of `data`.

    data: a text, a list of words, or indices: a list, an array or a tensor of whole numbers (n,).
    data_idx_dict, idx_data_dict: word → index and index → word.
    temperature: the logits are divided by it; below 1 the likely words become likelier.
    top_k: sample among the k likeliest words only.
    top_p: sample among the likeliest words that together reach this probability
        (nucleus sampling, Holtzman et al. 2020).
    seed: the same seed gives the same words; without one, PyTorch's global state decides.

    Raises InputError for a word or index outside the lexicon (names the closest words), a history
    longer than `data` or empty, and parameters out of range.
    """
    check_sampling(temperature, top_k, top_p)
    indices = word_indices(data, data_idx_dict, len(idx_data_dict))
    if not 1 <= len_hist <= len(indices):
        raise InputError(f"len_hist must be between 1 and the {len(indices)} words, got {len_hist}")
    if len_gen < 1:
        raise InputError(f"len_gen must be at least 1, got {len_gen}")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    words = []
    x = torch.tensor([indices[-len_hist:]], device=device)
    state = model.initialize(1)
    with evaluating(model):
        for _ in range(len_gen):
            logits, state = model(x, state)
            # on the CPU, so that a seed means the same words on every device
            probabilities = distribution(logits[0, -1].float().cpu(), temperature, top_k, top_p)
            index = torch.multinomial(probabilities, 1, generator=generator).item()
            words.append(idx_data_dict[index])
            x = torch.tensor([[index]], device=device)
    return words


def distribution(logits: torch.Tensor, temperature=1.0, top_k=None, top_p=None) -> torch.Tensor:
    """Logits (V,) → the probabilities (V,) that `generate` samples from."""
    logits = (logits - logits.max()) / temperature
    if top_k is not None:
        kept = torch.topk(logits, min(top_k, len(logits)))
        logits = torch.full_like(logits, -torch.inf).scatter(0, kept.indices, kept.values)
    probabilities = torch.softmax(logits, dim=0)  # (LM.6)
    if top_p is not None:
        ordered, order = probabilities.sort(descending=True)
        reached_before = ordered.cumsum(0) - ordered
        left_out = reached_before >= top_p
        left_out[0] = False  # a top_p so small that it is 0 among these numbers leaves one word
        probabilities = probabilities.index_fill(0, order[left_out], 0.0)
    return probabilities / probabilities.sum()


def check_sampling(temperature, top_k, top_p):
    if not temperature >= COLDEST:
        raise InputError(
            f"temperature must be above 0, at least {COLDEST}, got {temperature}; top_k = 1 always "
            "takes the likeliest word"
        )
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k must be at least 1, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise InputError(f"top_p must be above 0 and at most 1, got {top_p}")


def word_indices(data, data_idx_dict, ntoken: int) -> list[int]:
    words = tokenize(data) if isinstance(data, str) else list(data)
    if not any(isinstance(word, str) for word in words):
        return whole_numbers(words, ntoken)
    for word in words:
        if not isinstance(word, str):
            raise InputError(f"expected words or their indices, got both: {word!r} among words")
        if word not in data_idx_dict:
            close = difflib.get_close_matches(word, list(data_idx_dict), n=3)
            hint = f"; close to it: {', '.join(close)}" if close else ""
            raise InputError(f"the word {word!r} is not in the lexicon{hint}")
    return [data_idx_dict[word] for word in words]


def whole_numbers(indices: list, ntoken: int) -> list[int]:
    """As Python's own, from those of a list, a NumPy array or a tensor."""
    numbers = []
    for index in indices:
        try:
            numbers.append(operator.index(index))
        except TypeError:
            raise InputError(f"expected words or their indices, got {index!r}") from None
    for number in numbers:
        if not 0 <= number < ntoken:
            raise InputError(f"expected indices from 0 to {ntoken - 1}, got {number}")
    return numbers


def as_text(words: list[str]) -> str:
    """Words as a line to read: no space before a mark, a capital after the end of a sentence."""
    text, capital = "", True
    for word in words:
        mark = word in ".,;:!?"
        shown = word.capitalize() if capital and not mark else word
        text += shown if mark or not text else " " + shown
        capital = word in ".!?" or (capital and mark)
    return text
