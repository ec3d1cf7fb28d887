"""Tokens, lexicon, windows, and rows that continue from batch to batch."""

import re
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from blg561.errors import InputError
from blg561.language_model.dataset import ContinuingRows, Dataset, tokenize


def test_tokens_are_lower_case_words_and_six_marks():
    text = "“Don’t you _see_,” said Mr. Bennet—the well-known 2 men; yes: no!? (ça va) O'Neill's"
    expected = (
        "don't you see , said mr . bennet the well known 2 men ; yes : no ! ? ça va o'neill's"
    )
    assert " ".join(tokenize(text)) == expected


@pytest.mark.parametrize("apostrophe", ["'", "\u2018", "\u2019"])
def test_a_word_keeps_its_apostrophe_however_it_was_set(apostrophe):
    assert tokenize(f"O{apostrophe}Neill {apostrophe}tis") == ["o'neill", "tis"]


def test_a_capital_i_with_a_dot_does_not_split_its_word():
    """In lower case it is two characters, of which the second, a dot above, is no letter."""
    assert tokenize("DİYARBAKIR'a") == ["diyarbakir'a"]


@given(st.text(alphabet="aB1'’_- .,;:!?\n\r“é", max_size=60))
def test_tokenising_tokens_changes_nothing(text):
    tokens = tokenize(text)
    assert tokenize(" ".join(tokens)) == tokens
    assert "".join(re.sub(r"[\s_\-'“]", "", t) for t in tokens) == re.sub(
        r"[\s_\-'“’]", "", text.lower()
    )


def test_lexicon_holds_every_word_by_its_count_in_training_then_by_the_alphabet(text_file):
    dataset = Dataset(20, text_file)
    words = text_file.read_text().split()
    counts = Counter(words[:560])
    assert set(dataset.unique_data) == set(words)
    order = [(-counts[word], word) for word in dataset.unique_data]
    assert order == sorted(order)
    assert all(dataset.idx_data[dataset.data_idx[word]] == word for word in words)


def test_the_order_of_the_lexicon_tells_nothing_about_the_validation_part(tmp_path):
    """Whatever comes in which order and number after the split, equal words stay in their place."""
    head, tail = [*"abacbade"], ["z", "y"]
    orders = []
    for number, end in enumerate((tail, tail[::-1], [*"zzz", "y"], [*"yyy", "z"])):
        path = tmp_path / f"{number}.txt"
        path.write_text(" ".join(head + end))
        orders.append(Dataset(1, path, train_split=8 / (8 + len(end))).unique_data)
    assert orders == [["a", "b", "c", "d", "e", "y", "z"]] * 4


def test_another_lexicon_matches_words_by_their_letters(text_file):
    dataset = Dataset(20, text_file, train=False)
    words = [dataset.idx_data[index] for index in dataset.data.tolist()]
    shuffled = sorted(dataset.unique_data, key=lambda word: word[::-1])
    other = dataset.with_lexicon(shuffled)
    assert [other.idx_data[index] for index in other.data.tolist()] == words
    assert [other.data_idx[word] for word in shuffled] == list(range(len(shuffled)))
    known = [word for word in shuffled if word not in ("w2", "w5")]
    fewer = dataset.with_lexicon(["not-there", *known])
    kept = [fewer.idx_data[index] for index in fewer.data.tolist()]
    assert kept == [word for word in words if word not in ("w2", "w5")]
    assert [dataset.idx_data[index] for index in dataset.data.tolist()] == words  # as it was


def test_a_text_in_other_words_is_refused(text_file):
    with pytest.raises(
        InputError, match=r"one of which \d+ of 141 tokens are in its lexicon of 1 "
    ):
        Dataset(20, text_file, train=False).with_lexicon(["w2"])


def test_a_text_with_too_few_known_words_for_a_window_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a b c d " * 6)  # 24 words, of which half are known
    with pytest.raises(InputError, match=r"seq_length \+ 1 = 17 tokens, but the text has 12 "):
        Dataset(16, path, train_split=0.99).with_lexicon(["a", "b"])


def test_a_part_after_other_texts_has_a_mark_for_every_word_that_its_lexicon_has_not(tmp_path):
    texts = {"book": "a b c. a b c. a b d", "one": "b z a, c", "two": "d? q"}
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    part = Dataset(2, tmp_path / "book.txt")
    longer = part.after([tmp_path / "one.txt", tmp_path / "two.txt"])
    read = [longer.idx_data[index] for index in longer.data.tolist()]
    expected = "b <other> a <other> c <other> d <other> <other> <other> a b c . a b c ."
    assert read == expected.split()
    assert longer.unique_data == [*part.unique_data, "<other>"]
    assert [longer.data_idx[word] for word in longer.unique_data] == [*range(6)]
    assert "<other>" not in part.data_idx and len(part.data) == 8


def test_both_parts_share_the_lexicon_and_split_the_text(text_file):
    train, validation = Dataset(20, text_file), Dataset(20, text_file, train=False)
    assert train.unique_data == validation.unique_data
    words = [train.idx_data[i] for i in train.data.tolist()]
    targets = [train.idx_data[i] for i in validation.data.tolist()][1:]
    assert words + targets == text_file.read_text().split()
    assert len(words) == 560
    assert validation.data[0] == train.data[-1]


@given(seq_length=st.integers(1, 50), stride=st.integers(1, 60))
def test_windows_slide_by_the_stride(seq_length, stride):
    dataset = object.__new__(Dataset)
    dataset.seq_length, dataset.stride, dataset.data = seq_length, stride, torch.arange(101)
    starts = [s for s in range(0, 101, stride) if s + seq_length + 1 <= 101]
    assert len(dataset) == len(starts)
    for start, (data, target) in zip(starts, list(dataset), strict=True):
        assert data.tolist() == list(range(start, start + seq_length))
        assert target.tolist() == list(range(start + 1, start + seq_length + 1))
    assert torch.equal(dataset[-1][0], dataset[len(starts) - 1][0])
    with pytest.raises(IndexError, match="window"):
        dataset[len(starts)]


def test_counts_are_those_of_the_part(text_file):
    validation = Dataset(20, text_file, train=False, train_split=0.5)
    words = Counter(text_file.read_text().split()[349:])
    counts = validation.counts().tolist()
    assert counts == [words[word] for word in validation.unique_data]


@given(targets=st.integers(1, 120), batch_size=st.integers(1, 120), seq_length=st.integers(1, 40))
def test_rows_continue_and_hold_every_target_once(targets, batch_size, seq_length):
    dataset = object.__new__(Dataset)
    dataset.seq_length, dataset.stride = seq_length, 1
    dataset.data = torch.arange(targets + 1)
    if batch_size > targets:
        with pytest.raises(ValueError, match="batch_size"):
            ContinuingRows(dataset, batch_size)
        return
    loader = DataLoader(dataset, batch_sampler=ContinuingRows(dataset, batch_size))
    rows = [[] for _ in range(batch_size)]
    batches = list(loader)
    for data, target in batches:
        assert data.shape == target.shape and data.shape[1] <= seq_length
        assert torch.equal(data + 1, target)
        for row, part in zip(rows, target.tolist(), strict=False):
            row.extend(part)
    assert len(batches) == len(loader.batch_sampler)
    # a row is consecutive text, and the rows one after another are the whole part
    assert [target for row in rows for target in row] == list(range(1, targets + 1))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@pytest.mark.parametrize("split", [0, 1, -0.2, 1.5])
def test_split_must_leave_two_parts(text_file, split):
    with pytest.raises(ValueError, match=r"train_split must lie strictly between 0 and 1"):
        Dataset(20, text_file, train_split=split)


def test_window_longer_than_the_part_says_how_long_the_part_is(text_file):
    with pytest.raises(ValueError, match=r"142 tokens.*validation part of random.txt has 141"):
        Dataset(141, text_file, train=False)
    assert len(Dataset(140, text_file, train=False)) == 1


@pytest.mark.parametrize("arguments", [{"seq_length": 0}, {"seq_length": 5, "stride": 0}])
def test_lengths_below_one_are_refused(text_file, arguments):
    with pytest.raises(ValueError, match="at least 1"):
        Dataset(path=text_file, **arguments)
