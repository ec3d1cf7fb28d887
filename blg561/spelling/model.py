"""The network: LSTMs in both directions read letters, an LSTM writes phonemes.

N words, S letters in the longest, T phonemes and `END` in the longest pronunciation, H hidden
units, V symbols that may be written. Symbols are those of `data`; rows are filled up with PAD.

The decoder has the 512 units of Toshniwal and Livescu (2016), in one layer where theirs has three.
"""

from __future__ import annotations

import torch
from torch import nn

from blg561.language_model.models import LockedDropout
from blg561.layer.encoder_decoder import PAD
from blg561.spelling.data import SOURCE_SYMBOLS, TARGET_SYMBOLS


class SpellingModel(nn.Module):
    """Letters → phonemes.

    The encoder reads a word in both directions, H/2 units each. The decoder starts from a layer
    over the last state of each direction. Attention is the dot product of Luong et al. (2015) with
    the decoder's state after the step as its query, over the encoder's states of all letters;
    their (5): the output layer sees tanh(W [context, state]). Without attention it sees
    tanh(W state), and H numbers are all that the decoder knows of the word.

    embed_size: of the embeddings of letters and of phonemes.
    hidden_size: H, an even number.
    attention: whether the decoder may look at the letters.
    dropout: probability of dropout on both embeddings, the encoder's states and before the output.

    Raises ValueError for an odd `hidden_size`.
    """

    def __init__(self, embed_size=64, hidden_size=512, attention=True, dropout=0.0):
        super().__init__()
        if hidden_size % 2:
            raise ValueError(f"hidden_size: expected an even number, got {hidden_size}")
        self.arguments = dict(embed_size=embed_size, hidden_size=hidden_size)
        self.arguments |= dict(attention=attention, dropout=dropout)
        self.attention = attention
        self.letters = nn.Embedding(SOURCE_SYMBOLS, embed_size)
        self.rightward = nn.LSTM(embed_size, hidden_size // 2, batch_first=True)
        self.leftward = nn.LSTM(embed_size, hidden_size // 2, batch_first=True)
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
        backwards = reversal(lengths, source.shape[1])
        x = self.dropout(self.letters(source))
        right, _ = self.rightward(x)
        left, _ = self.leftward(reordered(x, backwards))
        row = torch.arange(len(source), device=source.device)
        last = torch.cat([right[row, lengths - 1], left[row, lengths - 1]], dim=-1)
        memory = self.dropout(torch.cat([right, reordered(left, backwards)], dim=-1))
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
