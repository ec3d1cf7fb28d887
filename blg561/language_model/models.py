"""The networks: embedding → recurrent layers or transformer blocks → one logit per word."""

from __future__ import annotations

import math
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.func import functional_call

from blg561.language_model.transformer import TransformerBlock


class LockedDropout(nn.Module):
    """Dropout with one mask for all time steps of a window (Gal and Ghahramani 2016).

    What is switched off does not change from word to word, and neither does the noise.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, T, F) → the same with features of a row switched off for the whole window."""
        if not self.training or self.p == 0:
            return x
        keep = 1 - self.p
        mask = torch.empty_like(x[:, :1]).bernoulli_(keep) / keep
        return x * mask  # (LM.3)


class ResetFirstGRU(nn.Module):
    """The GRU of lesson 3, where the reset gate acts before the product (Cho et al. 2014).

    The parameters have the names and shapes of `blg561.layer.GRULayer`. nn.GRU applies the gate
    after the product, which allows a faster kernel; this one runs step by step.
    """

    def __init__(self, in_size: int, out_size: int):
        super().__init__()
        D, H = in_size, out_size
        shapes = dict(Wx=(D, 2 * H), Wh=(H, 2 * H), b=(2 * H,), Wxi=(D, H), Whi=(H, H), bi=(H,))
        for name, shape in shapes.items():
            start = torch.empty(shape).uniform_(-1 / H**0.5, 1 / H**0.5)
            setattr(self, name, nn.Parameter(start))

    def forward(self, x: torch.Tensor, state: torch.Tensor):
        """x (N, T, D) after the state (1, N, H) → h (N, T, H), new state (1, N, H)."""
        h = state[0]
        a = x @ self.Wx + self.b
        xi = x @ self.Wxi + self.bi
        states = []
        for t in range(x.shape[1]):
            update, reset = torch.sigmoid(a[:, t] + h @ self.Wh).chunk(2, dim=1)
            candidate = torch.tanh(xi[:, t] + (reset * h) @ self.Whi)
            h = update * h + (1 - update) * candidate
            states.append(h)
        return torch.stack(states, dim=1), h[None]


class MinGRU(nn.Module):
    """The minimal GRU of lesson 8 (Feng et al. 2024), whose gate does not see the state.

    The parameters have the names and shapes of `blg561.layer.MinGRULayer`. All steps of a window
    are computed at once.
    """

    def __init__(self, in_size: int, out_size: int):
        super().__init__()
        D, H = in_size, out_size
        for name, shape in dict(Wz=(D, H), bz=(H,), Wc=(D, H), bc=(H,)).items():
            start = torch.empty(shape).uniform_(-1 / H**0.5, 1 / H**0.5)
            setattr(self, name, nn.Parameter(start))

    def forward(self, x: torch.Tensor, state: torch.Tensor):
        """x (N, T, D) after the state (1, N, H) → h (N, T, H), new state (1, N, H)."""
        update = torch.sigmoid(x @ self.Wz + self.bz)
        candidate = x @ self.Wc + self.bc
        h = LinearRecurrence.apply(1 - update, update * candidate, state[0])
        return h, h[None, :, -1]


class FixedFactors(nn.Module):
    """A linear recurrence whose factors are learnt and the same at every step; a gate reads it out.

    h_t = a h_{t-1} + √(1 - a²) (x_t Wc + bc), the output is σ(x_t Wz + bz) h_t, and each unit has
    its factor a = e^(-1/τ). It has the weights of MinGRU, and beyond them log τ (H,): the gate says
    what is read, where the minimal GRU's says what is kept. Fixed factors and their √(1 - a²) are
    those of the LRU (Orvieto et al. 2023), here real, and the gated output is that of Mehta et al.
    (2023). τ, the steps in which a unit forgets, begins between 1 and 100.
    """

    def __init__(self, in_size: int, out_size: int):
        super().__init__()
        D, H = in_size, out_size
        for name, shape in dict(Wz=(D, H), bz=(H,), Wc=(D, H), bc=(H,)).items():
            start = torch.empty(shape).uniform_(-1 / H**0.5, 1 / H**0.5)
            setattr(self, name, nn.Parameter(start))
        self.log_tau = nn.Parameter(torch.linspace(0, math.log(100), H))

    def forward(self, x: torch.Tensor, state: torch.Tensor):
        """x (N, T, D) after the state (1, N, H) → output (N, T, H), new state (1, N, H)."""
        rate = torch.exp(-self.log_tau)
        write = torch.sqrt(-torch.expm1(-2 * rate)) * (x @ self.Wc + self.bc)
        h = LinearRecurrence.apply(torch.exp(-rate).expand_as(write), write, state[0])
        return torch.sigmoid(x @ self.Wz + self.bz) * h, h[None, :, -1]


class LinearRecurrence(torch.autograd.Function):
    """h_t = keep_t h_{t-1} + write_t for all t at once, forward and backward by a parallel scan.

    keep, write (N, T, H) and first (N, H), the state before the first step → h (N, T, H).
    """

    @staticmethod
    def forward(ctx, keep, write, first):
        kept, written = compose(keep, write)
        h = kept * first[:, None] + written
        ctx.save_for_backward(keep, h, first)
        return h

    @staticmethod
    def backward(ctx, dh):
        keep, h, first = ctx.saved_tensors
        after = torch.cat([keep[:, 1:], torch.zeros_like(keep[:, :1])], dim=1)
        dh = compose(after.flip(1), dh.flip(1))[1].flip(1)
        before = torch.cat([first[:, None], h[:, :-1]], dim=1)
        return dh * before, dh, keep[:, 0] * dh[:, 0]


def compose(keep: torch.Tensor, write: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """keep, write (N, T, H) → those of steps 1 to t as one step, for all t, in log2 T rounds."""
    keep, write = keep.clone(), write.clone()
    reach = 1
    while reach < keep.shape[1]:
        write[:, reach:] += keep[:, reach:] * write[:, :-reach]
        keep[:, reach:] = keep[:, reach:] * keep[:, :-reach]
        reach *= 2
    return keep, write


CELLS = {
    "rnn": partial(nn.RNN, batch_first=True),
    "lstm": partial(nn.LSTM, batch_first=True),
    "gru": partial(nn.GRU, batch_first=True),
    "gru_reset_first": ResetFirstGRU,
    "mingru": MinGRU,
    "fixed_factors": FixedFactors,
    "transformer": TransformerBlock,
}
STATE_WEIGHTS = "weight_hh_l0", "Wh", "Whi"  # what carries the state from step to step, in any cell


class LanguageModel(nn.Module):
    """Embedding → dropout → recurrent layers, dropout after each → one logit per word.

    RNNModel and GatedModel are this class with a choice of cells. TransformerModel has blocks that
    look back in the place of recurrent layers.

    ntoken: words in the lexicon, V.
    embed_size, hidden_size, hidden_layers: sizes of the embedding and of each recurrent layer.
    seq_length: tokens in a window, T; kept with the model so that a reader of a checkpoint knows
        how far back its gradients reached.
    dropout: probability for locked dropout in three places: on the embedding's output, between the
        recurrent layers, and before the output layer.
    device: where the parameters are kept.
    cell: "rnn", "lstm"; "gru" for PyTorch's own GRU; "gru_reset_first" for ResetFirstGRU; "mingru"
        for MinGRU, "fixed_factors" for FixedFactors.
    tie_weights: the output layer uses the embedding matrix (Press and Wolf 2017); needs
        embed_size = hidden_size.
    embedding_dropout: probability with which a word's whole vector is switched off for a window,
        wherever it occurs (Gal and Ghahramani 2016).
    input_dropout, hidden_dropout, output_dropout: each of the three places by itself; None for
        `dropout`.
    weight_drop: dropout on the weights from state to state of every layer, one mask a window
        (DropConnect, Merity et al. 2018). They are what a network can learn a text by heart with.
        A minimal GRU and fixed factors have no such weights.
    locked_masks: one mask for all steps of a window, or else a fresh one for every step.

    The state is a tensor (layers, N, H), for LSTM layers a pair (h, c) of such tensors.

    Raises ValueError for a size below 1, a probability outside [0, 1), a cell that the class does
    not have, tied weights of unequal sizes, `weight_drop` where there is nothing to drop.
    """

    cells = ("rnn", "lstm", "gru", "gru_reset_first", "mingru", "fixed_factors")

    def __init__(
        self,
        ntoken,
        embed_size=64,
        hidden_size=64,
        hidden_layers=2,
        seq_length=20,
        dropout=0.1,
        device="cpu",
        *,
        cell=None,
        tie_weights=False,
        embedding_dropout=0.0,
        input_dropout=None,
        hidden_dropout=None,
        output_dropout=None,
        weight_drop=0.0,
        locked_masks=True,
    ):
        super().__init__()
        self.cell = cell = cell or self.cells[0]
        sizes = dict(ntoken=ntoken, embed_size=embed_size, hidden_size=hidden_size)
        sizes |= dict(hidden_layers=hidden_layers, seq_length=seq_length)
        places = dict(input_dropout=input_dropout, hidden_dropout=hidden_dropout)
        places |= dict(output_dropout=output_dropout)
        others = dict(embedding_dropout=embedding_dropout, weight_drop=weight_drop)
        check_arguments(self.cells, cell, sizes, dict(dropout=dropout) | places | others)
        if tie_weights and embed_size != hidden_size:
            raise ValueError(
                f"tied weights need embed_size = hidden_size, got {embed_size} and {hidden_size}"
            )
        if weight_drop and cell in ("mingru", "fixed_factors", "transformer"):
            raise ValueError(f"weight_drop: a {cell} has no weights from state to state")
        self.arguments = sizes | dict(dropout=dropout, cell=cell, tie_weights=tie_weights)
        self.arguments |= places | others | dict(locked_masks=locked_masks)
        self.hidden_size = hidden_size
        self.embedding_dropout, self.weight_drop = embedding_dropout, weight_drop
        self.embedding = nn.Embedding(ntoken, embed_size)
        in_sizes = [embed_size] + (hidden_layers - 1) * [hidden_size]
        self.layers = nn.ModuleList(CELLS[cell](size, hidden_size) for size in in_sizes)
        before, between, after = (dropout if p is None else p for p in places.values())
        mask = LockedDropout if locked_masks else nn.Dropout
        self.dropouts = nn.ModuleList(map(mask, [before, *[between] * (hidden_layers - 1), after]))
        self.output = nn.Linear(hidden_size, ntoken)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)
        if tie_weights:
            self.output.weight = self.embedding.weight
        self.to(device)

    def embed(self, x):
        if not self.training or self.embedding_dropout == 0:
            return self.embedding(x)
        keep = 1 - self.embedding_dropout
        mask = torch.empty_like(self.embedding.weight[:, :1]).bernoulli_(keep) / keep
        return self.embedding(x) * mask[x]

    def recur(self, layer, x, state):
        """One recurrent layer over a window, in training with its dropped weights."""
        if not self.training or self.weight_drop == 0:
            return layer(x, state)
        dropped = {
            name: nn.functional.dropout(weight, self.weight_drop)
            for name, weight in layer.named_parameters()
            if name in STATE_WEIGHTS
        }
        return functional_call(layer, dropped, (x, state))

    def forward(self, x: torch.Tensor, state):
        """Words x (N, T) after `state` → logits (N, T, V) of the words that follow, new state."""
        hidden, state = self.read(x, state)
        return self.output(hidden), state

    def read(self, x: torch.Tensor, state):
        """Words x (N, T) after `state` → what the output layer sees (N, T, H), new state."""
        self.check(x, state)
        hidden = self.dropouts[0](self.embed(x))
        states = []
        for number, (layer, drop) in enumerate(zip(self.layers, self.dropouts[1:], strict=True)):
            before = map_state(lambda s, n=number: s[n : n + 1], state)
            hidden, after = self.recur(layer, hidden, before)
            hidden = drop(hidden)
            states.append(after)
        return hidden, stack_states(states)

    def initialize(self, batch_size: int):
        """The zero state before the first word of `batch_size` rows, (layers, N, H) each."""
        zero = self.output.weight.new_zeros(len(self.layers), batch_size, self.hidden_size)
        return (zero, zero.clone()) if self.cell == "lstm" else zero

    def check(self, x, state):
        if x.dim() != 2 or x.dtype != torch.int64:
            raise ValueError(
                f"x must be word indices of shape (N, T) and type int64, "
                f"got shape {tuple(x.shape)} and type {x.dtype}"
            )
        self.check_state(len(x), state)

    def check_state(self, rows: int, state):
        check_kind_of_state(state, self.cell == "lstm")
        expected = (len(self.layers), rows, self.hidden_size)
        for part in state if isinstance(state, tuple) else (state,):
            if tuple(part.shape) != expected:
                raise ValueError(
                    f"state must have shape (layers, N, H) = {expected}, got {tuple(part.shape)}"
                )

    @torch.no_grad()
    def initialize_output_bias(self, counts: torch.Tensor):
        """Start from the unigram model: bias = log of each word's share of `counts` (V,).

        One is added to every count, so that a word that never occurs keeps a finite bias.
        """
        if len(counts) != len(self.output.bias):
            raise ValueError(f"{len(counts)} counts for {len(self.output.bias)} words")
        self.output.bias.copy_(torch.log((counts + 1) / (counts + 1).sum()))  # (LM.4)


class RNNModel(LanguageModel):
    """h_t = tanh(W_ih x_t + W_hh h_{t-1} + b) in every layer; arguments as in LanguageModel."""

    cells = ("rnn",)


class GatedModel(LanguageModel):
    """LSTM layers, or another of `cells`; else as LanguageModel."""

    cells = ("lstm", "gru", "gru_reset_first", "mingru", "fixed_factors")


class TransformerModel(LanguageModel):
    """Embedding → dropout → transformer blocks → normalization, dropout → one logit per word.

    embed_size = hidden_size is the width F of all blocks. `hidden_dropout` acts on what each half
    of a block adds; all else is as in LanguageModel.

    The state (blocks, N, P, 2F) has the keys and values of the last P words, at most WINDOW - 1. It
    takes the place of a recurrent state: read in pieces or at once, a text has the same logits.

    Raises ValueError as LanguageModel does, and for an embed_size that is not hidden_size or that
    the heads cannot share evenly.
    """

    cells = ("transformer",)

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        sizes = self.arguments["embed_size"], self.hidden_size
        if sizes[0] != sizes[1]:
            raise ValueError(
                "a transformer needs embed_size = hidden_size, got {} and {}".format(*sizes)
            )
        dropout = self.arguments["hidden_dropout"]
        dropout = self.arguments["dropout"] if dropout is None else dropout
        self.added_dropout = type(self.dropouts[0])(dropout)
        self.norm = nn.LayerNorm(self.hidden_size, device=self.output.weight.device)

    def read(self, x: torch.Tensor, state: torch.Tensor):
        """Words x (N, T) after `state` → what the output layer sees (N, T, F), new state."""
        self.check(x, state)
        hidden = self.dropouts[0](self.embed(x))
        pasts = []
        for block, past in zip(self.layers, state, strict=True):
            hidden, past = block(hidden, past, self.added_dropout)
            pasts.append(past)
        return self.dropouts[-1](self.norm(hidden)), torch.stack(pasts)

    def initialize(self, batch_size: int):
        """The state before the first word of `batch_size` rows: no keys and values at all."""
        shape = len(self.layers), batch_size, 0, 2 * self.hidden_size
        return self.output.weight.new_zeros(shape)

    def check_state(self, rows: int, state):
        check_kind_of_state(state, pair=False)
        expected = len(self.layers), rows, 2 * self.hidden_size
        if state.dim() != 4 or (*state.shape[:2], state.shape[3]) != expected:
            raise ValueError(
                f"state must have shape (blocks, N, P, 2F), (blocks, N, 2F) = {expected}, "
                f"got {tuple(state.shape)}"
            )


def check_arguments(cells, cell, sizes, probabilities):
    if cell not in cells:
        raise ValueError(f"cell must be one of {', '.join(cells)}, got {cell!r}")
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    for name, p in probabilities.items():
        if p is not None and not 0 <= p < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {p}")


def check_kind_of_state(state, pair: bool):
    """Raises TypeError for anything but a pair of tensors, or else a tensor."""
    parts = state if pair else (state,)
    is_pair = isinstance(state, tuple) and len(state) == 2
    if is_pair != pair or not all(isinstance(part, torch.Tensor) for part in parts):
        expected = "a pair of tensors (h, c)" if pair else "a tensor"
        raise TypeError(f"state must be {expected}, got {kind_of(state)}")


def kind_of(state) -> str:
    if not isinstance(state, tuple):
        return type(state).__name__
    return f"a tuple of {', '.join(type(part).__name__ for part in state) or 'nothing'}"


@contextmanager
def evaluating(model: nn.Module):
    """Within it the model is without dropout; afterwards, whatever happened, it is as before."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def map_state(function, state):
    """`function` of each tensor of a state, be it a tensor or a pair of tensors."""
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)


def stack_states(states: list):
    """One state (layers, N, H) from the states (1, N, H) of the layers."""
    if isinstance(states[0], tuple):
        return tuple(torch.cat(parts) for parts in zip(*states, strict=True))
    return torch.cat(states)
