"""The networks: embedding → recurrent layers → one logit per word.

RNNModel and GatedModel are those of the assignment, RegularisedLSTM is that of lesson 5.
"""

from __future__ import annotations

import torch
from torch import nn


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


class LanguageModel(nn.Module):
    """What RNNModel and GatedModel share; they differ in the recurrent layer alone.

    Parameters
    ----------
    ntoken : words in the lexicon, V.
    embed_size, hidden_size, hidden_layers : sizes of the embedding and of each recurrent layer.
    seq_length : tokens in a window, T; kept with the model so that a reader of a checkpoint
        knows how far back its gradients reached.
    dropout : probability for locked dropout on the embedding's output, between the recurrent
        layers and before the output layer.
    device : where the parameters are kept.
    tie_weights : the output layer uses the embedding matrix (Press and Wolf 2017); needs
        embed_size = hidden_size.
    embedding_dropout : probability with which a word's whole vector is switched off for a
        window, wherever it occurs (Gal and Ghahramani 2016).

    Raises
    ------
    ValueError : a size below 1, a probability outside [0, 1), tied weights of unequal sizes.
    """

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
        tie_weights=False,
        embedding_dropout=0.0,
    ):
        super().__init__()
        sizes = dict(ntoken=ntoken, embed_size=embed_size, hidden_size=hidden_size)
        sizes |= dict(hidden_layers=hidden_layers, seq_length=seq_length)
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        for name, p in dict(dropout=dropout, embedding_dropout=embedding_dropout).items():
            if not 0 <= p < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {p}")
        if tie_weights and embed_size != hidden_size:
            raise ValueError(
                f"tied weights need embed_size = hidden_size, got {embed_size} and {hidden_size}"
            )
        self.arguments = dict(
            sizes, dropout=dropout, tie_weights=tie_weights, embedding_dropout=embedding_dropout
        )
        self.hidden_size = hidden_size
        self.embedding_dropout = embedding_dropout
        self.embedding = nn.Embedding(ntoken, embed_size)
        in_sizes = [embed_size] + (hidden_layers - 1) * [hidden_size]
        self.layers = nn.ModuleList(self.make_layer(size, hidden_size) for size in in_sizes)
        self.dropout = LockedDropout(dropout)
        self.output = nn.Linear(hidden_size, ntoken)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)
        if tie_weights:
            self.output.weight = self.embedding.weight
        self.to(device)

    def make_layer(self, in_size: int, out_size: int) -> nn.Module:
        raise NotImplementedError

    def embed(self, x):
        if not self.training or self.embedding_dropout == 0:
            return self.embedding(x)
        keep = 1 - self.embedding_dropout
        mask = torch.empty_like(self.embedding.weight[:, :1]).bernoulli_(keep) / keep
        return self.embedding(x) * mask[x]

    def forward(self, x: torch.Tensor, state):
        """Words x (N, T) after `state` → logits (N, T, V) of the words that follow, new state."""
        self.check(x, state)
        hidden = self.dropout(self.embed(x))
        states = []
        for number, layer in enumerate(self.layers):
            before = map_state(lambda s, n=number: s[n : n + 1], state)
            hidden, after = layer(hidden, before)
            hidden = self.dropout(hidden)
            states.append(after)
        return self.output(hidden), stack_states(states)

    def initialize(self, batch_size: int):
        """The zero state before the first word of `batch_size` rows, (layers, N, H) each."""
        weight = self.output.weight
        return weight.new_zeros(len(self.layers), batch_size, self.hidden_size)

    def check(self, x, state):
        if x.dim() != 2 or x.dtype != torch.int64:
            raise ValueError(
                f"x must be word indices of shape (N, T) and type int64, "
                f"got shape {tuple(x.shape)} and type {x.dtype}"
            )
        expected = (len(self.layers), len(x), self.hidden_size)
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
    """h_t = tanh(W_ih x_t + W_hh h_{t-1} + b) in every layer; arguments as in LanguageModel.

    The state is a tensor (layers, N, H).
    """

    def make_layer(self, in_size, out_size):
        return nn.RNN(in_size, out_size, batch_first=True)


class GatedModel(LanguageModel):
    """Gated layers; further arguments as in LanguageModel.

    cell : "lstm"; "gru" for PyTorch's own GRU; "gru_reset_first" for ResetFirstGRU.

    The state of LSTM layers is a pair (h, c) of tensors (layers, N, H), that of GRU layers a
    tensor as in RNNModel.
    """

    def __init__(self, *args, cell="lstm", **kwargs):
        if cell not in ("lstm", "gru", "gru_reset_first"):
            raise ValueError(f'cell must be "lstm", "gru" or "gru_reset_first", got {cell!r}')
        self.cell = cell
        super().__init__(*args, **kwargs)
        self.arguments["cell"] = cell

    def make_layer(self, in_size, out_size):
        if self.cell == "gru_reset_first":
            return ResetFirstGRU(in_size, out_size)
        layer = nn.LSTM if self.cell == "lstm" else nn.GRU
        return layer(in_size, out_size, batch_first=True)

    def initialize(self, batch_size):
        zero = super().initialize(batch_size)
        return (zero, zero.clone()) if self.cell == "lstm" else zero


class WeightDropLSTM(nn.LSTM):
    """An LSTM layer with dropout on its hidden-to-hidden weights, one mask a window (DropConnect).

    The weights that carry the state are the ones that a network can learn a text by heart with,
    and masking them leaves the layer's fast kernel as it is (Merity et al. 2018, section 2).
    """

    def __init__(self, in_size: int, out_size: int, weight_drop: float):
        super().__init__(in_size, out_size, batch_first=True)
        self.weight_drop = weight_drop

    def forward(self, x, state):
        """x (N, T, D) after the state (h, c), (1, N, H) each → h (N, T, H), new state."""
        hidden_weights = nn.functional.dropout(self.weight_hh_l0, self.weight_drop, self.training)
        weights = [self.weight_ih_l0, hidden_weights, self.bias_ih_l0, self.bias_hh_l0]
        states, h, c = torch.lstm(x, state, weights, True, 1, 0.0, self.training, False, True)
        return states, (h, c)


class RegularisedLSTM(GatedModel):
    """LSTM layers with a dropout probability for every place; other arguments as GatedModel.

    Parameters
    ----------
    input_dropout, hidden_dropout, output_dropout : locked dropout on the embedding's output,
        between the layers, and before the output layer. `dropout` is not used.
    weight_drop : dropout on the hidden-to-hidden weights of every layer.
    """

    def __init__(
        self,
        *args,
        input_dropout=0.0,
        hidden_dropout=0.0,
        output_dropout=0.0,
        weight_drop=0.0,
        **kwargs,
    ):
        places = dict(input_dropout=input_dropout, hidden_dropout=hidden_dropout)
        places |= dict(output_dropout=output_dropout, weight_drop=weight_drop)
        for name, p in places.items():
            if not 0 <= p < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {p}")
        if kwargs.get("cell", "lstm") != "lstm":
            raise ValueError(f'RegularisedLSTM has cell "lstm" alone, got {kwargs["cell"]!r}')
        self.weight_drop = weight_drop
        super().__init__(*args, **{"dropout": 0.0, **kwargs})
        self.arguments |= places
        between = [hidden_dropout] * (len(self.layers) - 1)
        self.dropouts = nn.ModuleList(map(LockedDropout, [input_dropout, *between, output_dropout]))

    def make_layer(self, in_size, out_size):
        return WeightDropLSTM(in_size, out_size, self.weight_drop)

    def forward(self, x, state):
        self.check(x, state)
        hidden = self.dropouts[0](self.embed(x))
        states = []
        for number, (layer, drop) in enumerate(zip(self.layers, self.dropouts[1:], strict=True)):
            before = map_state(lambda s, n=number: s[n : n + 1], state)
            hidden, after = layer(hidden, before)
            hidden = drop(hidden)
            states.append(after)
        return self.output(hidden), stack_states(states)


def map_state(function, state):
    """`function` of each tensor of a state, be it a tensor or a pair of tensors."""
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)


def stack_states(states: list):
    """One state (layers, N, H) from the states (1, N, H) of the layers."""
    if isinstance(states[0], tuple):
        return tuple(torch.cat(parts) for parts in zip(*states, strict=True))
    return torch.cat(states)
