"""A transformer block that reads a text in pieces, as a recurrent layer does."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

HEADS = 4
WINDOW = 64  # words that a block looks at, the newest among them


class TransformerBlock(nn.Module):
    """x + attention of norm(x), then x + two layers of norm(x): pre-norm (Xiong et al. 2020).

    A word looks at itself and the WINDOW - 1 words before it (Vaswani et al. 2017, with the window
    of Beltagy et al. 2020). Where a word stands is told by a penalty that grows with its distance,
    at another rate in each head, and by nothing else (ALiBi, Press et al. 2022).

    Keys and values of words that were read are kept and handed on, without their gradient (Dai et
    al. 2019). Through several blocks a text of several windows has a say.

    in_size, out_size: the width F, one number.

    Raises ValueError for a width that the heads cannot share evenly.
    """

    def __init__(self, in_size: int, out_size: int):
        super().__init__()
        F = out_size
        if F % HEADS:
            raise ValueError(f"the width must be a multiple of {HEADS}, got {F}")
        self.before_attention, self.before_layers = nn.LayerNorm(F), nn.LayerNorm(F)
        self.query_key_value = nn.Linear(in_size, 3 * F)
        self.mix = nn.Linear(F, F)
        self.layers = nn.Sequential(nn.Linear(F, 4 * F), nn.GELU(), nn.Linear(4 * F, F))

    def forward(self, x: torch.Tensor, past: torch.Tensor, drop: nn.Module):
        """x (N, T, F) after `past` (N, P, 2F) → (N, T, F), and the past of what follows.

        past: keys and values, side by side, of the P positions before x. drop: what acts on each
            of the two parts that are added.
        """
        F = x.shape[-1]
        query, new = self.query_key_value(self.before_attention(x)).split([F, 2 * F], dim=-1)
        past = torch.cat([past.to(new.dtype), new], dim=1)
        key, value = past.chunk(2, dim=-1)
        bias = distance_bias(x.shape[1], past.shape[1], x.device).to(new.dtype)
        attended = scaled_dot_product_attention(*map(by_head, (query, key, value)), attn_mask=bias)
        x = x + drop(self.mix(attended.transpose(1, 2).flatten(2)))
        x = x + drop(self.layers(self.before_layers(x)))
        return x, past[:, max(past.shape[1] - (WINDOW - 1), 0) :]


def by_head(x: torch.Tensor) -> torch.Tensor:
    """x (N, S, F) → (N, HEADS, S, F / HEADS)."""
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def distance_bias(T: int, S: int, device) -> torch.Tensor:
    """What is added to the scores of the last T of S positions with all S, (HEADS, T, S).

    -slope times the distance for the words of the window, -inf for all others.
    """
    distance = torch.arange(S - T, S, device=device)[:, None] - torch.arange(S, device=device)
    slopes = 2.0 ** (-8 / HEADS * torch.arange(1, HEADS + 1, device=device))
    bias = -slopes[:, None, None] * distance
    return bias.masked_fill((distance < 0) | (distance >= WINDOW), -torch.inf)
