"""Files of finished networks, and the one that comes with the package.

A network is two files: NAME.pt has its weights as float16, NAME.json says how it was trained and
what it scores. Both are written by `python -m benchmarks.spelling --write`.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from blg561.language_model import checkpoints
from blg561.language_model.checkpoints import CheckpointError
from blg561.spelling.model import SpellingModel

FORMAT = "blg561 spelling, version 2"
SHIPPED = Path(__file__).parent / "pretrained" / "attention.pt"


def save(path: Path, model: SpellingModel):
    """Write the network, its weights as float16. Raises CheckpointError as `checkpoints.save`."""
    weights = {name: weight.half() for name, weight in model.state_dict().items()}
    contents = {"format": FORMAT, "arguments": model.arguments, "weights": weights}
    checkpoints.save(path, contents)


def load(path: Path = SHIPPED) -> SpellingModel:
    """The network of a file, by default the one of the package: float32, ready to evaluate.

    Nothing in the file is executed. Raises CheckpointError where it is missing, damaged or no
    network of ours.
    """
    contents = checkpoints.load(path, formats=(FORMAT,))
    try:
        model = SpellingModel(**contents["arguments"])
        model.load_state_dict(contents["weights"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not describe a network of ours: {error}") from error
    return model.eval()


@torch.no_grad()
def rounded(model: SpellingModel) -> SpellingModel:
    """The same network with the weights that a file of it has."""
    for weight in model.parameters():
        weight.copy_(weight.half())
    return model


def card(path: Path = SHIPPED) -> dict:
    """How the network of a file was trained and what it scores: a row of results/spelling.json."""
    return json.loads(Path(path).with_suffix(".json").read_text(encoding="utf-8"))
