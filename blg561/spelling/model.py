"""The network: LSTMs in both directions read letters, an LSTM writes phonemes.

N words, S letters in the longest, T phonemes and `END` in the longest pronunciation, H hidden
units, V symbols that may be written. Symbols are those of `data`; rows are filled up with PAD.

Toshniwal and Livescu (2016) have more of the same: 512 units, and three layers in the decoder.
"""

from __future__ import annotations

import torch
from torch import nn

from blg561.language_model.models import LockedDropout
from blg561.layer.encoder_decoder import PAD
from blg561.spelling.data import SOURCE_SYMBOLS, TARGET_SYMBOLS


class Bidirectional(nn.Module):
    """LSTMs in both directions, H/2 units each, over the steps of each row and not its padding."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.rightward = nn.LSTM(input_size, hidden_size // 2, batch_first=True)
        self.leftward = nn.LSTM(input_size, hidden_size // 2, batch_first=True)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor):
        """x (N, S, F), lengths (N,) → states (N, S, H), and (N, H): the last of each direction."""
        backwards = reversal(lengths, x.shape[1])
        right, _ = self.rightward(x)
        left, _ = self.leftward(reordered(x, backwards))
        row = torch.arange(len(x), device=x.device)
        last = torch.cat([right[row, lengths - 1], left[row, lengths - 1]], dim=-1)
        return torch.cat([right, reordered(left, backwards)], dim=-1), last


class SpellingModel(nn.Module):
    """Letters → phonemes.

    Each layer of the encoder reads in both directions, H/2 units each. The decoder starts from a
    layer over the last state of each direction. Attention is the dot product of Luong et al. (2015)
    with the decoder's state after the step as its query, over the encoder's states of all letters;
    their (5): the output layer sees tanh(W [context, state]). Without attention it sees
    tanh(W state), and H numbers are all that the decoder knows of the word.

    embed_size: of the embeddings of letters and of phonemes.
    hidden_size: H, an even number.
    attention: whether the decoder may look at the letters.
    dropout: probability of dropout on both embeddings, the encoder's states and before the output.
    encoder_layers: the first reads the letters, each other one the states of the one before it.

    Raises ValueError for an odd `hidden_size` and for no layer.
    """

    def __init__(
        self, embed_size=64, hidden_size=384, attention=True, dropout=0.0, encoder_layers=2
    ):
        super().__init__()
        if hidden_size % 2:
            raise ValueError(f"hidden_size: expected an even number, got {hidden_size}")
        if encoder_layers < 1:
            raise ValueError(f"encoder_layers: expected at least 1, got {encoder_layers}")
        self.arguments = dict(embed_size=embed_size, hidden_size=hidden_size)
        self.arguments |= dict(attention=attention, dropout=dropout, encoder_layers=encoder_layers)
        self.attention = attention
        self.letters = nn.Embedding(SOURCE_SYMBOLS, embed_size)
        sizes = [embed_size] + [hidden_size] * (encoder_layers - 1)
        self.encoder = nn.ModuleList(Bidirectional(size, hidden_size) for size in sizes)
        self.start = nn.Linear(hidden_size, hidden_size)
        self.phonemes = nn.Embedding(TARGET_SYMBOLS, embed_size)
        self.decoder = nn.LSTM(embed_size, hidden_size, batch_first=True)
        self.combine = nn.Linear((2 if attention else 1) * hidden_size, hidden_size // 2)
        self.output = nn.Linear(hidden_size // 2, TARGET_SYMBOLS)
        self.dropout = LockedDropout(dropout)

    def encode(self, source: torch.Tensor):
        """source (N, S) → memory (N, S, H), mask (N, S), the decoder's first state (h, c).

        h and c are (1, N, H). mask: True where there is a letter. Padding changes nothing at the
        letters.
        """
        mask = source != PAD
        lengths = mask.sum(dim=1)
        memory = self.dropout(self.letters(source))
        for layer in self.encoder:
            states, last = layer(memory, lengths)
            memory = self.dropout(states)
        c = self.start(last)[None]
        return memory, mask, (torch.tanh(c), c)

    def decode(self, inputs: torch.Tensor, memory, mask, state):
        """inputs (N, T) after `state` → logits (N, T, V) of what follows, new state, weights.

        weights (N, T, S): of the attention; None without it.
        """
        h, state = self.decoder(self.dropout(self.phonemes(inputs)), state)
        weights = None
        if self.attention:
            context, weights = attend(h, memory, mask)
            h = torch.cat([context, h], dim=-1)
        return self.output(self.dropout(torch.tanh(self.combine(h)))), state, weights

    def forward(self, source: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """source (N, S), inputs (N, T), which start with BEGIN → logits (N, T, V)."""
        memory, mask, state = self.encode(source)
        return self.decode(inputs, memory, mask, state)[0]


def attend(query, memory, mask):
    """query (N, T, H), memory (N, S, H), mask (N, S) → context (N, T, H), weights (N, T, S)."""
    scores = query @ memory.transpose(1, 2)
    weights = scores.float().masked_fill(~mask[:, None], -torch.inf).softmax(dim=-1)
    return weights.to(memory.dtype) @ memory, weights


def reversal(lengths: torch.Tensor, longest: int) -> torch.Tensor:
    """lengths (N,) → places (N, longest) that read each row backwards; padding stays at its end."""
    place = torch.arange(longest, device=lengths.device).expand(len(lengths), -1)
    last = lengths[:, None] - 1
    return torch.where(place <= last, last - place, place)


def reordered(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """x (N, S, F) with the steps of each row in the order of places (N, S)."""
    return x.gather(1, places[..., None].expand_as(x))
