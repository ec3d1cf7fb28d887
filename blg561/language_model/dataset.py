"""Tokens, lexicon, windows of text, and batches whose rows continue from one to the next."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Sampler

from blg561.errors import InputError
from blg561.language_model.books import read_text

PLAIN_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"'})
OTHER = "<other>"  # a word that is not in the lexicon; no token looks like it
TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.,;:!?]")


def tokenize(text: str) -> list[str]:
    """Split `text` into lower-case words and the marks . , ; : ! ? ; everything else separates.

    An apostrophe inside a word belongs to it, so "don't" is one token.
    """
    lower = text.translate(PLAIN_QUOTES).lower()
    return TOKEN.findall(lower.replace("\u0307", ""))  # "İ" became "i" and a dot above it


class Dataset(torch.utils.data.Dataset):
    """A book as windows of `seq_length` tokens, each with the same window one token later.

    The first `train_split` of the tokens are the training part, the rest the validation part.
    The validation part starts with the last training token as its first input, so that every
    validation token is the target of some window.

    seq_length: tokens in a window, T.
    path: a book as `books.find` gives it, or any UTF-8 text.
    train: the training part, or else the validation part.
    train_split: share of the tokens that trains, strictly between 0 and 1.
    device: where the tokens are kept.
    stride: tokens from the start of one window to the start of the next.

    unique_data: the lexicon, a list of every word of the whole book, those that are most frequent
        in the training part first, equally frequent ones in alphabetical order. That a word of the
        validation part stands in it is all that it tells of that part.
    idx_data, data_idx: dicts, index → word and word → index.
    data: int64 tensor (n + 1,), the indices of the part's n targets and the token before them.

    Raises ValueError for a split, length or stride out of range, InputError for a part shorter than
    one window, BookError for a file that is missing, empty or not a text.
    """

    def __init__(self, seq_length, path, train=True, train_split=0.8, device="cpu", *, stride=1):
        if not 0 < train_split < 1:
            raise ValueError(f"train_split must lie strictly between 0 and 1, got {train_split}")
        if seq_length < 1 or stride < 1:
            raise ValueError(
                f"seq_length and stride must be at least 1, got {seq_length} and {stride}"
            )
        self.seq_length = seq_length
        self.stride = stride
        self.train_split = train_split
        tokens = self._read_data(path)
        split = int(train_split * len(tokens))
        self.unique_data = self._find_unique(tokens, tokens[:split])
        self.idx_data = dict(enumerate(self.unique_data))
        self.data_idx = {word: index for index, word in self.idx_data.items()}

        part = tokens[:split] if train else tokens[max(split - 1, 0) :]
        name = "training" if train else "validation"
        self._check_length(len(part), f"the {name} part of {Path(path).name} has {len(part)}")
        self.data = torch.tensor([self.data_idx[word] for word in part], device=device)

    def _check_length(self, tokens: int, found: str):
        needed = self.seq_length + 1
        if tokens < needed:
            raise InputError(f"a window needs seq_length + 1 = {needed} tokens, but {found}")

    def _read_data(self, path) -> list[str]:
        return tokenize(read_text(path))

    def _find_unique(self, tokens: list[str], training: list[str]) -> list[str]:
        counts = Counter(training)
        return sorted(set(tokens), key=lambda word: (-counts[word], word))

    def with_lexicon(self, lexicon: list[str]):
        """This part as a network with another lexicon reads it: words are matched by their letters.

        A word that is not in `lexicon` is left out, as an input and as a target. Where the words of
        both lexicons are the same, only their indices change.

        Raises InputError where less than half of the tokens are in it, or fewer than a window has.
        """
        index_of = {word: index for index, word in enumerate(lexicon)}
        unknown = len(lexicon)
        places = [index_of.get(word, unknown) for word in self.unique_data]
        data = torch.tensor(places, device=self.data.device)[self.data]
        other = copy.copy(self)
        other.data = data[data < unknown]
        if 2 * len(other.data) < len(data):
            share = f"{len(other.data):,} of {len(data):,} tokens"
            raise InputError(
                f"expected a text in the words of this network, got one of which {share} are in "
                f"its lexicon of {unknown:,} words"
            )
        known = len(other.data)
        self._check_length(known, f"the text has {known} whose word is in the network's lexicon")
        other.unique_data, other.data_idx = list(lexicon), index_of
        other.idx_data = dict(enumerate(lexicon))
        return other

    def after(self, paths):
        """The texts at `paths`, each with OTHER at its end, and then this part.

        The lexicon is that of this part and OTHER, which stands for every word that is not in it.
        To leave such a word out would make neighbours of the two beside it, which the author did
        not write; so would two texts with nothing between them.

        Raises BookError as the class does.
        """
        outside = len(self.unique_data)
        read = []
        for path in paths:
            read += [self.data_idx.get(word, outside) for word in self._read_data(path)]
            read.append(outside)
        longer = copy.copy(self)
        longer.data = torch.cat([torch.tensor(read, device=self.data.device), self.data])
        longer.unique_data = [*self.unique_data, OTHER]
        longer.idx_data = self.idx_data | {outside: OTHER}
        longer.data_idx = self.data_idx | {OTHER: outside}
        return longer

    def __len__(self) -> int:
        return (len(self.data) - 1 - self.seq_length) // self.stride + 1

    def __getitem__(self, idx) -> tuple[torch.Tensor, torch.Tensor]:
        """Window number `idx`, or for a slice exactly those token positions: (data, target)."""
        if isinstance(idx, slice):
            start, stop, _ = idx.indices(len(self.data) - 1)
        else:
            if not -len(self) <= idx < len(self):
                raise IndexError(f"window {idx} of a dataset with {len(self)} windows")
            start = (idx % len(self)) * self.stride
            stop = start + self.seq_length
        return self.data[start:stop], self.data[start + 1 : stop + 1]

    def counts(self) -> torch.Tensor:
        """How often each word of the lexicon is a token of this part, int64 (V,)."""
        return torch.bincount(self.data, minlength=len(self.unique_data))


class ContinuingRows(Sampler):
    """Batches under which row i of one batch is followed by row i of the next.

    The part is cut into `batch_size` rows of consecutive text, and batch k holds the k-th window
    of every row: a hidden state that is carried from batch to batch therefore always belongs to
    the text just before. Every target occurs exactly once: the last window of the rows is as
    short as it has to be, and where the rows cannot be equal the first ones are one token longer
    and make up a last batch of their own. Windows have `seq_length` tokens, by default those of
    the dataset.

    Use it as `DataLoader(dataset, batch_sampler=ContinuingRows(dataset, batch_size))`.

    Raises ValueError for a batch_size that is not from 1 to the number of targets, and for a
    seq_length below 1.
    """

    carries_state = True  # what training and evaluation ask a sampler

    def __init__(self, dataset: Dataset, batch_size: int, seq_length: int | None = None):
        self.targets = len(dataset.data) - 1
        if not 1 <= batch_size <= self.targets:
            raise ValueError(
                f"batch_size must be between 1 and the {self.targets} targets, got {batch_size}"
            )
        self.batch_size = batch_size
        self.seq_length = dataset.seq_length if seq_length is None else seq_length
        if self.seq_length < 1:
            raise ValueError(f"seq_length must be at least 1, got {seq_length}")

    def __len__(self) -> int:
        length, longer = divmod(self.targets, self.batch_size)
        return -(-length // self.seq_length) + (longer > 0)

    def __iter__(self) -> Iterator[list[slice]]:
        length, longer = divmod(self.targets, self.batch_size)
        starts = [row * length + min(row, longer) for row in range(self.batch_size)]
        for begin in range(0, length, self.seq_length):
            end = min(begin + self.seq_length, length)
            yield [slice(start + begin, start + end) for start in starts]
        if longer:
            yield [slice(start + length, start + length + 1) for start in starts[:longer]]


def evaluation_loader(dataset: Dataset) -> DataLoader:
    """The whole part as one row: every target once, with all the text before it in the state.

    Windows of 512 tokens change no score; they are fewer than those of training.
    """
    return DataLoader(dataset, batch_sampler=ContinuingRows(dataset, 1, seq_length=512))
