"""Files of trained networks: written whole or not at all, loaded without running foreign code."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import torch

from blg561.language_model import models

FORMAT = "blg561 language model, version 1"
CLASSES = {
    network.__name__: network
    for network in (models.RNNModel, models.GatedModel, models.RegularisedLSTM)
}


class CheckpointError(Exception):
    """A file that is not a checkpoint of ours, is damaged, or belongs to another training."""


def save(path: Path, contents: dict):
    """Write `contents` so that `path` holds either the old file or the whole new one.

    The bytes go to a file beside it first and reach the disk before it takes the name, so that a
    process killed at any moment, or a full disk, leaves the previous checkpoint as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        torch.save({"format": FORMAT, **contents}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def load(path: Path, device="cpu") -> dict:
    """The dict that `save` wrote; tensors on `device`, nothing in the file is executed.

    Raises CheckpointError when the file is missing, damaged (its checksums are compared) or not
    a checkpoint of this package.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise CheckpointError(f"{path} is damaged: the checksum of its {damaged} is wrong")
        contents = torch.load(path, map_location=device, weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:
        # zipfile and torch.load raise a dozen types for a file that is not theirs
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a PyTorch file, but not a checkpoint of '{FORMAT}'")
    return contents


def model_contents(model: models.LanguageModel, lexicon: list[str]) -> dict:
    """What a checkpoint keeps of a network: how to build it, its weights and its lexicon."""
    return {
        "class": type(model).__name__,
        "arguments": model.arguments,
        "weights": model.state_dict(),
        "lexicon": lexicon,
    }


def load_model(path: Path, device="cpu") -> tuple[models.LanguageModel, list[str]]:
    """The network that a checkpoint holds, ready to evaluate, and its lexicon.

    Weights stored in a shorter type come back as float32. Raises CheckpointError as `load`.
    """
    contents = load(path, device)
    try:
        model = CLASSES[contents["class"]](**contents["arguments"], device=device)
        model.load_state_dict(contents["weights"])
        lexicon = contents["lexicon"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not describe a network of ours: {error}") from error
    if len(lexicon) != model.arguments["ntoken"]:
        raise CheckpointError(
            f"{path} holds {len(lexicon)} words for a network of {model.arguments['ntoken']}"
        )
    return model.eval(), lexicon
