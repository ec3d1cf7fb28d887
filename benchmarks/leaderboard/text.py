"""A book as the systems of the leaderboard read it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.leaderboard import rows
from blg561.language_model import books
from blg561.language_model.dataset import Dataset


@dataclass(frozen=True)
class Text:
    """The two parts of a book, and its two lexicons.

    training, validation: word indices as in `Dataset.data`.
    seen: (V,) true for the words of the training part; these in their order, and then `<unk>`, are
        the second lexicon.
    place: (V,) where each word of the whole lexicon has its place in the second.
    characters: those of the validation tokens joined by single spaces.
    """

    training: torch.Tensor
    validation: torch.Tensor
    seen: torch.Tensor
    place: torch.Tensor
    characters: int

    @property
    def ntoken(self) -> int:
        return len(self.seen)

    @property
    def targets(self) -> torch.Tensor:
        return self.validation[1:]

    @property
    def half(self) -> int:
        return len(self.targets) // 2


def find(book: str) -> Path:
    """The file of the known edition. Raises BookError for another one: scores refer to this."""
    path = books.find(book)
    if books.verify(path, books.CATALOGUE[book]) is not books.Edition.KNOWN:
        raise books.BookError(f"{path} is not the known edition, which the results refer to")
    return path


@functools.cache
def read_text(book: str) -> Text:
    trainset, validset = (Dataset(1, find(book), train=train) for train in (True, False))
    seen = trainset.counts() > 0
    place = torch.where(seen, seen.cumsum(0) - 1, seen.sum())
    words = (validset.idx_data[index] for index in validset.data[1:].tolist())
    return Text(trainset.data, validset.data, seen, place, len(" ".join(words)))


def others(book: str) -> list[Path]:
    """The files of the other books."""
    return [find(other) for other in rows.BOOKS if other != book]


@functools.cache
def pooled(book: str) -> torch.Tensor:
    """The other books and then the training part of this one, in its words: see `Dataset.after`."""
    return Dataset(1, find(book)).after(others(book)).data


def other_books(book: str) -> torch.Tensor:
    """The other books alone; V stands for every word outside this book's lexicon."""
    return pooled(book)[: -len(read_text(book).training)]
