"""The weights of the network that answers in the page: `write` makes them from the shipped LSTM.

live.bin has, one after another: a scale for each row of the embedding, for each column of Wx and of
Wh; the output's bias and the layer's b; all these float32, little-endian. Then the embedding, Wx
and Wh as 8-bit integers, which times their scales are the weights. live.json has the sizes, the
words, and what results/live.json knows of the network.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from blg561.language_model import pretrained
from blg561.language_model.conversion import to_numpy
from blg561.layer import NumpyLanguageModel

BOOK, NAME = "pride_prejudice", "lstm"
RESULTS = Path(__file__).resolve().parents[1] / "results" / "live.json"


def to_8_bits(weights: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers from -127 to 127 and the scales along `axis` that give the weights back, rounded."""
    scales = np.abs(weights).max(axis=1 - axis, keepdims=True) / 127
    scales = np.maximum(scales, np.finfo(np.float32).tiny).astype("<f4")
    return np.rint(weights / scales).astype(np.int8), scales.ravel()


def pack(model: NumpyLanguageModel) -> bytes:
    """The bytes of live.bin for a tied LSTM of one layer.

    Raises ValueError for another network.
    """
    if model.cell != "lstm" or len(model.layers) != 1 or not model.tie_weights:
        raise ValueError(f"expected a tied LSTM of one layer, got {model.cell}, {model.layers}")
    (layer,) = model.layers
    embedding, row_scale = to_8_bits(model.embedding.W, axis=0)
    Wx, x_scale = to_8_bits(layer.Wx, axis=1)
    Wh, h_scale = to_8_bits(layer.Wh, axis=1)
    floats = [row_scale, x_scale, h_scale, model.output.b, layer.b]
    parts = [part.astype("<f4") for part in floats] + [embedding, Wx, Wh]
    return b"".join(part.tobytes() for part in parts)


def rounded(model: NumpyLanguageModel) -> NumpyLanguageModel:
    """`model` itself, its matrices now those that the page computes with."""
    (layer,) = model.layers
    for owner, name, axis in [(model.embedding, "W", 0), (layer, "Wx", 1), (layer, "Wh", 1)]:
        integers, scales = to_8_bits(getattr(owner, name), axis)
        setattr(owner, name, integers * np.expand_dims(scales, 1 - axis))
    return model


def write(folder: Path) -> None:
    """live.bin and live.json, and both once more as a script, for pages opened from a file."""
    model, lexicon = pretrained.load(BOOK, NAME)
    packed = pack(to_numpy(model))
    about = {"words": lexicon, "hidden_size": model.hidden_size}
    about |= json.loads(RESULTS.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "live.bin").write_bytes(packed)
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":"))
    (folder / "live.json").write_text(text, encoding="utf-8")
    encoded = base64.b64encode(packed).decode()
    script = f'const LIVE = {{ about: {text}, bytes: "{encoded}" }};\n'
    (folder / "live-from-file.js").write_text(script, encoding="utf-8")
