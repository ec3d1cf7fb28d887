"""The trainings as data: with attention, the rival without it, and one of two minutes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """All that decides a training, given the dictionary.

    embed_size, hidden_size: of both embeddings; of the decoder, and half of it of each direction
        of the encoder, which has `encoder_layers`.
    label_smoothing: the share of the target that is spread evenly over all symbols (Szegedy et al.
        2016, section 7), in training alone.
    learning_rate: the highest; it rises linearly over the first `warmup` of the steps and falls to
        0 along half a cosine.
    clip_val: the largest norm of the gradient.
    """

    attention: bool
    seed: int = 0
    embed_size: int = 64
    hidden_size: int = 384
    encoder_layers: int = 2
    dropout: float = 0.25
    label_smoothing: float = 0.1
    epochs: int = 18
    batch_size: int = 128
    learning_rate: float = 0.004
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip_val: float = 1.0


ATTENTION = Recipe(attention=True)
FIXED_VECTOR = Recipe(attention=False, dropout=0.4)
# What lesson 7 trains while one waits: there is no time to learn the words by heart.
QUICK = Recipe(attention=True, encoder_layers=1, dropout=0.1, label_smoothing=0.0, epochs=3)
