"""What the page's network loses by its 8-bit weights, and which of its units follows speech.

    python -m benchmarks.live_network            # prints what results/live.json has
    python -m benchmarks.live_network --write

The network is that of `tools/live.py`. The unit is the one whose cell state correlates most with
being inside a quotation over the first half of the validation part, as lesson 6 has it; its two
values are the medians inside and outside. Perplexities are of the whole validation part.
"""

import argparse
import json
import math
import re

import numpy as np

from blg561.language_model import books, pretrained
from blg561.language_model.conversion import to_numpy
from blg561.language_model.dataset import TOKEN, Dataset, tokenize
from tools import live

MARK = re.compile(r'[“”"]|\n\s*\n|' + TOKEN.pattern)


def in_quotation(text: str) -> np.ndarray:
    """For each token whether a quotation is open; a new paragraph closes it."""
    is_open, labels = False, []
    for piece in MARK.findall(text.translate(str.maketrans("‘’", "''")).lower()):
        if piece == '"':
            is_open = not is_open
        elif piece in "“”" or not piece.strip():
            is_open = piece == "“"
        else:
            labels.append(is_open)
    return np.array(labels)


def cells_of(model, words: np.ndarray) -> np.ndarray:
    """The cell state after each of `words` (n,), (n, H), from the zero state."""
    layer = model.layers[0]
    layer.forward(model.embedding.forward(words[None]), *np.zeros((2, 1, layer.out_size), "f4"))
    return layer.cache[2][1:, 0]


def speech_unit(model, words: np.ndarray, spoken: np.ndarray) -> dict:
    cells = cells_of(model, words)
    half = len(words) // 2
    first, second = (
        np.corrcoef(cells[part].T, spoken[part])[-1, :-1] for part in np.s_[:half, half:]
    )
    unit = int(np.abs(first).argmax())
    return {
        "unit": unit,
        "correlation_first_half": round(float(first[unit]), 3),
        "correlation_second_half": round(float(second[unit]), 3),
        "inside": round(float(np.median(cells[spoken, unit])), 3),
        "outside": round(float(np.median(cells[~spoken, unit])), 3),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="keep it in results/live.json")
    arguments = parser.parse_args()
    path = books.find(live.BOOK)
    network, lexicon = pretrained.load(live.BOOK, live.NAME)
    validset = Dataset(1, path, train=False).with_lexicon(lexicon)
    words = validset.data.numpy()
    text = books.read_text(path)
    spoken = in_quotation(text)
    if len(spoken) != len(tokenize(text)) or len(words) != len(validset.data):
        raise RuntimeError("labels and tokens do not fit together")
    model = to_numpy(network)
    found = {"perplexity": round(math.exp(model.evaluate(words)), 3)}
    found |= {"speech": speech_unit(model, words[:-1], spoken[-len(words) : -1])}
    found |= {"perplexity_8_bit": round(math.exp(live.rounded(model).evaluate(words)), 3)}
    print(json.dumps(found, indent=2))
    if arguments.write:
        live.RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
