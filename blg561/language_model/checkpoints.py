"""Files of trained networks: written whole or not at all, loaded without running foreign code."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import zipfile
from collections import Counter
from pathlib import Path

import torch

from blg561.errors import InputError
from blg561.language_model import models

FORMAT = "blg561 language model, version 2"
EARLIER = "blg561 language model, version 1"  # its lexicons are sorted in another way
CLASSES = {
    network.__name__: network
    for network in (
        models.LanguageModel,
        models.RNNModel,
        models.GatedModel,
        models.TransformerModel,
    )
}
RENAMED = {"RegularisedLSTM": "GatedModel"}  # of files of version 1


class CheckpointError(InputError):
    """A file that is not a checkpoint of ours, is damaged, or belongs to another training."""


def save(path: Path, contents: dict):
    """Write `contents` so that `path` holds either the old file or the whole new one.

    The bytes go to a file beside it first and reach the disk before it takes the name, so that a
    process killed at any moment, or a full disk, leaves the previous checkpoint as it was.

    Raises CheckpointError where the file cannot be written.
    """
    path = Path(path)
    # of its own for each process, so that two that write one file do not write into each other's
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    whole = io.BytesIO()  # what torch.save raises when a disk is full is no OSError
    torch.save({"format": FORMAT, **contents}, whole)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            file.write(whole.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise CheckpointError(f"{path} cannot be written: {error.strerror or error}") from error


def load(path: Path, device="cpu", formats=(FORMAT, EARLIER)) -> dict:
    """The dict that `save` wrote; tensors on `device`, nothing in the file is executed.

    formats: what its "format" may be.

    Raises CheckpointError when the file is missing, damaged (its checksums are compared) or not
    a checkpoint of this package.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder: expected the file of a checkpoint, NAME.pt")
        if not path.is_file():
            raise CheckpointError(f"there is no checkpoint {path}")
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise CheckpointError(f"{path} is a TorchScript file, which is a program")
        if damaged is not None:
            raise CheckpointError(f"{path} is damaged: the checksum of its {damaged} is wrong")
        contents = torch.load(path, map_location=device, weights_only=True)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except pickle.UnpicklingError as error:
        # torch's own message tells how to load it all the same, which would run what is in it
        raise CheckpointError(
            f"{path} holds pickled Python objects, which may run code when they are loaded: "
            "expected a checkpoint that `train` wrote, which holds numbers and words alone"
        ) from error
    except Exception as error:
        # zipfile and torch.load raise a dozen types for a file that is not theirs
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint: {type(error).__name__}: "
            + str(error).partition(". ")[0]
        ) from error
    if not isinstance(contents, dict) or contents.get("format") not in formats:
        raise CheckpointError(f"{path} is a PyTorch file, but not a checkpoint of '{formats[0]}'")
    return contents


def model_contents(model: models.LanguageModel, lexicon: list[str]) -> dict:
    """What a checkpoint keeps of a network: how to build it, its weights and its lexicon."""
    return {
        "class": type(model).__name__,
        "arguments": model.arguments,
        "weights": model.state_dict(),
        "lexicon": lexicon,
    }


# What `training.train` adds to a network, so that a training can go on.
OF_TRAINING = {
    "optimizer": dict,
    "scheduler": dict | None,
    "recipe": dict,
    "epochs": int,
    "precision": str,
    "log": dict,
    "random_state": torch.Tensor,
}


def check_training(path: Path, contents: dict):
    """Raises CheckpointError where something of a training is missing or of another kind."""
    wrong = [name for name, kind in OF_TRAINING.items() if not isinstance(contents.get(name), kind)]
    if wrong or "seed" not in contents["recipe"]:
        names = ", ".join(wrong or ["recipe's seed"])
        raise CheckpointError(f"{path} cannot go on: its {names} is missing or of another kind")


def check_lexicon(path: Path, lexicon):
    if not isinstance(lexicon, list) or not all(isinstance(word, str) for word in lexicon):
        raise CheckpointError(f"{path} has a lexicon that is no list of words")
    if len(set(lexicon)) < len(lexicon):
        twice = next(word for word, times in Counter(lexicon).items() if times > 1)
        raise CheckpointError(f"{path} has a lexicon in which a word stands twice: {twice!r}")


def load_model(path: Path, device="cpu") -> tuple[models.LanguageModel, list[str]]:
    """The network that a checkpoint holds, ready to evaluate, and its lexicon.

    Weights stored in a shorter type come back as float32. Raises CheckpointError as `load`.
    """
    contents = load(path, device)
    missing = {"class", "arguments", "weights", "lexicon"} - contents.keys()
    if missing:
        raise CheckpointError(f"{path} is a checkpoint without {', '.join(sorted(missing))}")
    lexicon = contents["lexicon"]
    check_lexicon(path, lexicon)
    try:
        network = CLASSES[RENAMED.get(contents["class"], contents["class"])]
        model = network(**contents["arguments"], device=device)
        model.load_state_dict(contents["weights"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not describe a network of ours: {error}") from error
    for name, weight in model.state_dict().items():
        if not weight.isfinite().all():
            raise CheckpointError(f"{path} has weights that are no finite numbers, in {name}")
    if len(lexicon) != model.arguments["ntoken"]:
        raise CheckpointError(
            f"{path} holds {len(lexicon)} words for a network of {model.arguments['ntoken']}"
        )
    return model.eval(), lexicon
