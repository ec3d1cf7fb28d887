"""The networks that come with the package, scored on the whole validation part: half a minute.

It is not one of the plain tests, so its name keeps it out of `pytest tests`; `make test` runs it
among the longer ones. Where the known edition of the book is not to be had, it fails.
"""

import pytest

from blg561.language_model import books, pretrained, scoring


@pytest.mark.parametrize(("book", "name"), pretrained.available())
def test_a_provided_network_scores_what_its_card_says(book, name):
    score = scoring.score(*pretrained.load(book, name), books.find(book))
    card = pretrained.card(book, name)
    assert score["perplexity"] == pytest.approx(card["validation_perplexity"], rel=1e-4)
