"""What is handed in: the files by name, a trained network's file, and the archive of all of them.

python -m blg561.assignment.hand_in        # writes submission.zip and says what is missing
"""

from __future__ import annotations

import zipfile
from pathlib import Path

WANTED = {
    "blg561/layer/recurrent_layers.py": "the three layers",
    "LanguageModelling.ipynb": "the language model and the answers",
    "networks/rnn.pt": "the RNN trained without gradient clipping",
    "networks/rnn_clipped.pt": "the RNN trained with gradient clipping",
    "networks/gated.pt": "the LSTM or GRU",
    "figures/loss.png": "the loss curves of the three",
    "figures/perplexity.png": "the perplexity curves of the three",
}


PARTS = Path(__file__).with_name("parts.txt")  # in the handout: the parts that are asked


def wanted(parts: list[str]) -> dict[str, str]:
    """What of WANTED belongs to some of these parts: RNN, LSTM, GRU, LM, Q."""
    belongs = {"blg561": {"RNN", "LSTM", "GRU"}, "LanguageModelling.ipynb": {"LM", "Q"}}
    return {
        path: meaning
        for path, meaning in WANTED.items()
        if belongs.get(path.split("/")[0], {"LM"}) & set(parts)
    }


def save_network(path, model, arguments: dict, lexicon: list[str]):
    """Write what the grader needs of a trained network: how to build it, its weights, its words.

    arguments: those that the model's class was called with, by name, without the device:
        plain numbers, strings and truth values.
    lexicon: word number i at place i, `dataset.unique_data`.

    Raises ValueError where the three do not fit each other.
    """
    import torch

    plain = (bool, int, float, str, type(None))
    for name, value in arguments.items():
        if not isinstance(value, plain):
            raise ValueError(f"arguments: expected plain values, got {name}={value!r}")
    if arguments.get("ntoken") != len(lexicon):
        raise ValueError(
            f"expected ntoken to be the {len(lexicon)} words of the lexicon, "
            f"got {arguments.get('ntoken')}"
        )
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    contents = {"arguments": dict(arguments), "weights": weights, "lexicon": list(lexicon)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(contents, path)


def pack(folder=".", name="submission.zip") -> list[str]:
    """Write the wanted files that are in `folder` to an archive beside them; those missing."""
    folder = Path(folder)
    files = wanted(PARTS.read_text(encoding="utf-8").split()) if PARTS.exists() else WANTED
    missing = [path for path in files if not (folder / path).is_file()]
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, meaning in files.items():
            if path in missing:
                print(f"MISSING  {path}: {meaning}")
            else:
                archive.write(folder / path, path)
                print(f"packed   {path}")
    print(f"{folder / name}: {len(files) - len(missing)} of {len(files)} files")
    return missing


if __name__ == "__main__":
    pack()
