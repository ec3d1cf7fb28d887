"""The score of a network on a book, also on one that is not quite that of its training."""

import math

import pytest
import torch

from blg561.errors import InputError
from blg561.language_model import scoring
from blg561.language_model.dataset import Dataset
from blg561.language_model.models import GatedModel


@pytest.fixture
def network(text_file):
    lexicon = Dataset(1, text_file).unique_data
    torch.manual_seed(0)
    return GatedModel(len(lexicon), 8, 8, 1).eval(), lexicon


@torch.no_grad()
def by_hand(model, lexicon, words):
    """The mean loss of a list of words after the first, read in one piece."""
    text = torch.tensor([lexicon.index(word) for word in words])
    logits, _ = model(text[None, :-1], model.initialize(1))
    return torch.nn.functional.cross_entropy(logits[0].double(), text[1:]).item()


def test_the_score_is_the_mean_loss_of_the_validation_part(network, text_file):
    score = scoring.score(*network, text_file)
    loss = by_hand(*network, text_file.read_text().split()[559:])
    assert score["loss"] == pytest.approx(loss, rel=1e-6)
    assert score["perplexity"] == pytest.approx(math.exp(loss), rel=1e-6)
    assert score["bits"] == pytest.approx(loss / math.log(2), rel=1e-6)
    assert (score["tokens_scored"], score["tokens_left_out"]) == (140, 0)
    assert score["protocol"]["lexicon"] == "all 40 words of the book"
    assert score["protocol"]["scored"].startswith("140 validation tokens, each once")


def test_the_order_of_the_lexicon_changes_no_score(network, text_file):
    model, lexicon = network
    order = torch.randperm(len(lexicon), generator=torch.Generator().manual_seed(1))
    other = GatedModel(len(lexicon), 8, 8, 1).eval()
    weights = model.state_dict()
    for name in ("embedding.weight", "output.weight", "output.bias"):
        weights[name] = weights[name][order]
    other.load_state_dict(weights)
    shuffled = scoring.score(other, [lexicon[i] for i in order], text_file)
    assert shuffled["loss"] == pytest.approx(scoring.score(model, lexicon, text_file)["loss"])


@pytest.mark.parametrize("changed", [1, 20, 60])
def test_words_that_the_network_does_not_know_are_left_out_and_counted(
    network, text_file, tmp_path, changed
):
    words = text_file.read_text().split()
    places = [560 + place for place in range(0, 2 * changed, 2)]
    for place in places:
        words[place] = f"unheard{place}"
    other = tmp_path / "other.txt"
    other.write_text(" ".join(words))
    score = scoring.score(*network, other)
    left = [word for word in words[559:] if not word.startswith("unheard")]
    assert score["loss"] == pytest.approx(by_hand(*network, left), rel=1e-6)
    assert (score["tokens_scored"], score["tokens_left_out"]) == (140 - changed, changed)
    assert f"{changed} validation tokens are other words" in score["protocol"]["lexicon"]


@pytest.mark.parametrize("text", ["quite another book in other words altogether .", "w1 w2 x y z"])
def test_a_book_in_other_words_is_refused(network, tmp_path, text):
    other = tmp_path / "other.txt"
    other.write_text(f"{text} " * 50)
    with pytest.raises(InputError, match="expected a text in the words of this network"):
        scoring.score(*network, other)
