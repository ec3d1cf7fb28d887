"""Writing a pronunciation: greedy decoding and beam search, for many words at once.

The rules are those of `blg561.layer.EncoderDecoder`: PAD and BEGIN are never written, and
hypotheses that ended are compared by ln p divided by their number of steps.
"""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import pad_sequence

from blg561.language_model.models import evaluating
from blg561.layer.encoder_decoder import BEGIN, END, PAD, Hypothesis
from blg561.spelling.data import letters_to_symbols, symbols_to_sound

LONGEST = 64  # steps, twice what the longest pronunciation of the dictionary needs


def pronounce(
    model, words, width: int = 1, batch_size: int = 256
) -> list[list[tuple[tuple[str, ...], float]]]:
    """For each word its pronunciations, the best first, at most `width`, with ln p of each.

    Raises InputError for what is not a word of letters.
    """
    words = list(words)
    order = sorted(range(len(words)), key=lambda k: len(words[k]))
    sources = [letters_to_symbols(word) for word in words]
    found = [[] for _ in words]
    for start in range(0, len(words), batch_size):
        part = order[start : start + batch_size]
        hypotheses = beam_search(model, padded(sources[k] for k in part), width)
        for k, beam in zip(part, hypotheses, strict=True):
            found[k] = [(symbols_to_sound(one.symbols), one.log_probability) for one in beam]
    return found


def padded(rows) -> torch.Tensor:
    """Lists of symbols → (N, longest), filled up with PAD."""
    return pad_sequence([torch.tensor(row) for row in rows], True, PAD)


def greedy(model, source: torch.Tensor, longest: int = LONGEST) -> list[Hypothesis]:
    """source (N, S) → for each word the hypothesis of the most probable symbol at every step."""
    return [found[0] for found in beam_search(model, source, width=1, longest=longest)]


@torch.inference_mode()
def beam_search(
    model,
    source: torch.Tensor,
    width: int = 4,
    length_power: float = 1.0,
    longest: int = LONGEST,
) -> list[list[Hypothesis]]:
    """source (N, S) → for each word its hypotheses, the best first, at most `width` of them.

    At each step every open hypothesis of a word goes on with every symbol, and the `width` most
    probable stay; those that end are set aside. A word is done when `width` have ended, or after
    `longest` steps; only if none has ended by then, the open ones are returned.

    length_power: of `Hypothesis.score`. At 0 the score is ln p, which favours short ones.

    Raises ValueError for a width or a length below 1.
    """
    for name, value in dict(width=width, longest=longest).items():
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    beams = Beams(len(source), width, source.device)
    with evaluating(model):
        memory, mask, state = model.encode(source)
        memory, mask = (x.repeat_interleave(width, dim=0) for x in (memory, mask))
        state = tuple(x.repeat_interleave(width, dim=1) for x in state)
        for _ in range(longest):
            logits, state, _ = model.decode(beams.last_symbols(), memory, mask, state)
            origin = beams.advance(log_probabilities(logits[:, -1]))
            state = tuple(x[:, origin] for x in state)
            if beams.all_done():
                break
    return beams.found(length_power)


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """logits (N, V) → ln p; that of what is never written is -∞."""
    logits = logits.float()
    logits[:, [PAD, BEGIN]] = -torch.inf
    return logits.log_softmax(dim=-1)


class Beams:
    """The open hypotheses of N words, `width` each, and those that have ended.

    symbols: (N, width, t + 1) after t steps, BEGIN first.
    total: ln p of each, (N, width); -∞ where there is no open hypothesis.
    """

    def __init__(self, n: int, width: int, device):
        self.width = width
        self.symbols = torch.full((n, width, 1), BEGIN, device=device)
        self.total = torch.full((n, width), -torch.inf, device=device)
        self.total[:, 0] = 0
        self.ended: list[list[Hypothesis]] = [[] for _ in range(n)]

    def last_symbols(self) -> torch.Tensor:
        """(N · width, 1)."""
        return self.symbols[:, :, -1].reshape(-1, 1)

    def advance(self, log_p: torch.Tensor) -> torch.Tensor:
        """One step: log_p (N · width, V) of what follows → the row that each new one comes from."""
        n, width = self.total.shape
        total = self.total[..., None] + log_p.view(n, width, -1)
        self.total, best = total.flatten(1).topk(width, dim=1)
        parent, symbol = best // log_p.shape[1], best % log_p.shape[1]
        row = torch.arange(n, device=log_p.device)[:, None]
        self.symbols = torch.cat([self.symbols[row, parent], symbol[..., None]], dim=2)
        self.set_aside()
        return (row * width + parent).flatten()

    def set_aside(self):
        """Those that have just ended are no longer open, nor are the others of a word done."""
        ends = (self.symbols[:, :, -1] == END) & self.total.isfinite()
        for word, place in ends.nonzero().tolist():
            symbols = tuple(self.symbols[word, place, 1:-1].tolist())
            self.ended[word].append(Hypothesis(symbols, self.total[word, place].item(), True))
        done = torch.tensor([len(ended) >= self.width for ended in self.ended])
        self.total[ends | done.to(ends.device)[:, None]] = -torch.inf

    def all_done(self) -> bool:
        return not self.total.isfinite().any()

    def found(self, length_power: float) -> list[list[Hypothesis]]:
        """Of each word, those that ended, or else the open ones; the best score first."""
        return [
            sorted(ended or self.open(word), key=lambda one: -one.score(length_power))[: self.width]
            for word, ended in enumerate(self.ended)
        ]

    def open(self, word: int) -> list[Hypothesis]:
        return [
            Hypothesis(tuple(symbols[1:]), total, False)
            for symbols, total in zip(
                self.symbols[word].tolist(), self.total[word].tolist(), strict=True
            )
            if total > -torch.inf
        ]
