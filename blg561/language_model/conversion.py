"""The weights of a network, from PyTorch to NumPy and back.

What differs is the layout alone. PyTorch multiplies from the left, W x, so its matrices are
transposed. It adds two biases where one says the same. The blocks of its LSTM come in the order
input, forget, candidate, output, ours in the order input, forget, output, candidate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from blg561.language_model.models import GatedModel, LanguageModel, RNNModel
from blg561.layer import NumpyLanguageModel

NAMES = {"rnn": "rnn", "lstm": "lstm", "gru_reset_first": "gru"}  # PyTorch's name → NumPy's


def to_numpy(model: LanguageModel) -> NumpyLanguageModel:
    """The same network in NumPy, with weights of its own, of the dtype of `model`'s.

    A layer's two biases become their sum. Of what acts in training only the three places of dropout
    are carried over; `embedding_dropout`, `weight_drop` and masks that are not locked have no
    counterpart.

    Raises TypeError for anything but an RNNModel or a GatedModel, ValueError for cells that it
    cannot carry over: nn.GRU, minimal GRUs, fixed factors.
    """
    if not isinstance(model, RNNModel | GatedModel):
        raise TypeError(f"expected an RNNModel or a GatedModel, got {type(model).__name__}")
    cell = model.cell
    if cell == "gru":
        raise ValueError(
            "nn.GRU applies its reset gate after the matrix product, GRULayer before it: with the "
            'same weights they are different functions. Use GatedModel(..., cell="gru_reset_first")'
        )
    if cell not in NAMES:
        raise ValueError(f"cell: expected one of {', '.join(NAMES)}, got {cell!r}")
    sizes = {
        name: model.arguments[name]
        for name in ("ntoken", "embed_size", "hidden_size", "hidden_layers")
    }
    tie_weights = model.arguments["tie_weights"]
    weight = copied(model.embedding.weight)
    ours = NumpyLanguageModel(
        **sizes, cell=NAMES[cell], tie_weights=tie_weights, dtype=weight.dtype
    )
    ours.embedding.W = weight
    for layer, theirs in zip(ours.layers, model.layers, strict=True):
        for name, parameter in recurrent_to_numpy(cell, theirs).items():
            setattr(layer, name, parameter)
    for dropout, theirs in zip(ours.dropouts, model.dropouts, strict=True):
        dropout.p = theirs.p
    ours.output.W = copied(model.output.weight.T)
    ours.output.b = copied(model.output.bias)
    return ours


def to_torch(model: NumpyLanguageModel) -> LanguageModel:
    """The same network in PyTorch, ready to evaluate, with weights of its own, dtype as `model`'s.

    The first of a layer's two biases is ours, the second 0. `seq_length` is the default one: the
    network has the same weights for any.
    """
    V, E = model.embedding.W.shape
    arguments = {
        "ntoken": V,
        "embed_size": E,
        "hidden_size": model.output.in_size,
        "hidden_layers": len(model.layers),
        "tie_weights": model.tie_weights,
        **places_of_dropout([dropout.p for dropout in model.dropouts]),
    }
    cell = {ours: name for name, ours in NAMES.items()}[model.cell]
    theirs = RNNModel(**arguments) if cell == "rnn" else GatedModel(**arguments, cell=cell)
    theirs.to(torch.from_numpy(model.embedding.W).dtype)
    W_output = model.embedding.W.T if model.tie_weights else model.output.W
    named = {
        "embedding.weight": model.embedding.W,
        "output.weight": W_output.T,
        "output.bias": model.output.b,
    }
    for number, layer in enumerate(model.layers):
        weights = recurrent_to_torch(cell, layer)
        named |= {f"layers.{number}.{name}": weight for name, weight in weights.items()}
    theirs.load_state_dict({name: torch.tensor(weight) for name, weight in named.items()})
    return theirs.eval()


def places_of_dropout(p: list[float]) -> dict[str, float]:
    """The arguments of `LanguageModel` for the probabilities before, between and after layers."""
    if len(set(p)) == 1:
        return {"dropout": p[0]}
    return {"input_dropout": p[0], "hidden_dropout": p[-2], "output_dropout": p[-1]}


def recurrent_to_numpy(cell: str, layer: torch.nn.Module) -> dict[str, np.ndarray]:
    """The parameters of one layer, under the names of the NumPy layers."""
    if cell == "gru_reset_first":
        return {name: copied(parameter) for name, parameter in layer.named_parameters()}
    Wx, Wh = layer.weight_ih_l0.T, layer.weight_hh_l0.T
    named = {"Wx": Wx, "Wh": Wh, "b": layer.bias_ih_l0 + layer.bias_hh_l0}
    named = {name: copied(parameter) for name, parameter in named.items()}
    return {name: swap_blocks(p) for name, p in named.items()} if cell == "lstm" else named


def recurrent_to_torch(cell: str, layer) -> dict[str, np.ndarray]:
    """The parameters of one NumPy layer, under PyTorch's names."""
    named = layer.parameters
    if cell == "gru_reset_first":
        return named
    if cell == "lstm":
        named = {name: swap_blocks(p) for name, p in named.items()}
    return {
        "weight_ih_l0": named["Wx"].T,
        "weight_hh_l0": named["Wh"].T,
        "bias_ih_l0": named["b"],
        "bias_hh_l0": np.zeros_like(named["b"]),
    }


def swap_blocks(columns: np.ndarray) -> np.ndarray:
    """The last two of four blocks of columns change places; done twice, nothing has happened."""
    i, f, third, fourth = np.split(columns, 4, axis=-1)
    return np.concatenate([i, f, fourth, third], axis=-1)


def copied(parameter: torch.Tensor) -> np.ndarray:
    """A copy, so that training one network leaves the other as it is."""
    return parameter.detach().cpu().numpy().copy(order="C")


def torch_exponentials(seed: int) -> Callable[[int], np.ndarray]:
    """The random numbers from which `generation.generate` with that seed samples its words.

    For one sample, torch.multinomial draws an exponential random number for every word and takes
    the word whose probability over its number is largest.
    """
    generator = torch.Generator().manual_seed(seed)
    return lambda n: torch.empty(n).exponential_(generator=generator).numpy()
