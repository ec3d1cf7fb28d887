"""Attention in NumPy beside PyTorch: the layers, and a training step of the encoder-decoder.

    python -m benchmarks.attention
    python -m benchmarks.attention --threads 1 --seconds 5

In float32, milliseconds of ours and of PyTorch on the CPU, of

    a layer         forward and backward for all its inputs, half of the sources padded; PyTorch has
                    `scaled_dot_product_attention` for the dot products, and the definition in its
                    operations for the additive score
    a training step of the encoder-decoder, 64 pairs: loss, gradients, clipping, Adam; PyTorch's
                    has `nn.GRU`, whose reset gate acts after the product (another function, with as
                    many multiplications and three more biases)

The two run in turns, so that a busy machine is busy for both. A time is the median over the rounds,
the ratio the median of the rounds' ratios: 2 says that NumPy takes twice as long.
"""

import statistics

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.layers import command_line, in_turns, ratio
from blg561.layer import AdditiveAttention, DotProductAttention, EncoderDecoder
from blg561.layer.encoder_decoder import PAD, Adam, shifted

LAYER_SIZES = [(64, 13, 12, 64), (32, 35, 35, 256), (16, 100, 100, 128), (2, 5, 6, 4)]
MODEL_SIZES = [(13, 12, 16, 64), (40, 20, 64, 256)]  # symbols, longest source, E, H
LAYERS = {
    "dot": lambda D: DotProductAttention(scale=False),
    "scaled": lambda D: DotProductAttention(),
    "additive": lambda D: AdditiveAttention(D, D, D, 0, np.float32),
}
PAIRS = 64
HEADER = """\
                                      |        milliseconds       |
                                      |     NumPy       PyTorch   |   ratio"""


def by_torch(kind, query, keys, values, mask, Wq=None, Wk=None, v=None):
    """The context, from PyTorch's operations."""
    if kind == "additive":
        scores = torch.tanh((query @ Wq)[:, :, None] + (keys @ Wk)[:, None]) @ v
        return scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1) @ values
    scale = 1.0 if kind == "dot" else None
    return F.scaled_dot_product_attention(query, keys, values, mask[:, None], scale=scale)


def layer_row(kind, size, seconds):
    N, T, S, D = size
    rng = np.random.default_rng(0)
    layer = LAYERS[kind](D)
    shapes = {"query": (N, T, D), "keys": (N, S, D), "values": (N, S, D)}
    inputs = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    mask = np.arange(S) < np.where(np.arange(N) % 2, S, (S + 1) // 2)[:, None]
    dcontext = rng.normal(size=(N, T, D)).astype(np.float32)
    tensors = {
        name: torch.tensor(array, requires_grad=True)
        for name, array in {**inputs, **layer.parameters}.items()
    }
    mask_torch, dcontext_torch = torch.from_numpy(mask), torch.from_numpy(dcontext)

    def ours():
        layer.forward(**inputs, mask=mask)
        return layer.backward(dcontext)

    def theirs():
        for tensor in tensors.values():
            tensor.grad = None
        by_torch(kind, **tensors, mask=mask_torch).backward(dcontext_torch)
        return {"d" + name: tensor.grad.numpy() for name, tensor in tensors.items()}

    expected = theirs()
    for name, gradient in ours().items():
        tolerance = 1e-3 * abs(expected[name]).max()
        np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=tolerance)
    return line(f"{kind:9} {size}", in_turns([ours, theirs], seconds))


class Peer(nn.Module):
    """The encoder-decoder in PyTorch; attention: as for ours."""

    def __init__(self, symbols, embed_size, hidden_size, attention):
        super().__init__()
        H = hidden_size
        self.source_embedding = nn.Embedding(symbols, embed_size)
        self.encoder = nn.GRU(embed_size, H, batch_first=True)
        self.target_embedding = nn.Embedding(symbols, embed_size)
        self.decoder = nn.GRU(embed_size, H, batch_first=True)
        self.attention = attention
        if attention == "additive":
            self.Wq, self.Wk = (nn.Parameter(torch.empty(H, H).normal_(0, 0.1)) for _ in range(2))
            self.v = nn.Parameter(torch.empty(H).normal_(0, 0.1))
        self.output = nn.Linear(2 * H if attention else H, symbols)

    def loss(self, source, inputs, target):
        memory, _ = self.encoder(self.source_embedding(source))
        mask = source != PAD
        last = memory[torch.arange(len(source)), mask.sum(1) - 1]
        h, _ = self.decoder(self.target_embedding(inputs), last[None])
        if self.attention:
            own = (self.Wq, self.Wk, self.v) if self.attention == "additive" else ()
            context = by_torch(self.attention, h, memory, memory, mask, *own)
            h = torch.cat([h, context], dim=-1)
        logits = self.output(h)
        return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PAD)


def model_row(attention, size, seconds):
    symbols, longest, E, H = size
    rng = np.random.default_rng(0)
    source, target = (rng.integers(3, symbols, (PAIRS, longest)) for _ in range(2))
    lengths = rng.integers(longest // 3, longest + 1, PAIRS)
    source, target = (
        np.where(np.arange(longest) < lengths[:, None], a, PAD) for a in (source, target)
    )
    ours = EncoderDecoder(symbols, symbols, E, H, attention, 0, np.float32)
    our_adam = Adam(ours)
    theirs = Peer(symbols, E, H, attention)
    their_adam = torch.optim.Adam(theirs.parameters())
    batch = [torch.from_numpy(array) for array in (source, shifted(target), target)]

    def our_step():
        ours.loss(source, target)
        ours.backward()
        our_adam.step()

    def their_step():
        their_adam.zero_grad()
        theirs.loss(*batch).backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        their_adam.step()

    return line(f"{attention or 'none':9} {size}", in_turns([our_step, their_step], seconds))


def line(name, times):
    milliseconds = " ".join(f"{statistics.median(its):12.2f}" for its in times)
    return f"{name:37} | {milliseconds} | {ratio(*times):7.2f}"


def lines(seconds):
    yield "a layer: score, (N, T, S, D)"
    for size in LAYER_SIZES:
        for kind in LAYERS:
            yield layer_row(kind, size, seconds)
    yield "a training step: attention, (symbols, longest source, E, H)"
    for size in MODEL_SIZES:
        for attention in (None, *LAYERS):
            yield model_row(attention, size, seconds)


if __name__ == "__main__":
    command_line(__spec__.name, __doc__, HEADER, lines)
