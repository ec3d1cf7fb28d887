"""Words that end alike learn together: steps of SGD that are shared.

A network learns the vector of a word from the places where the word stands. Of a word with one
place it learns little, of a word with none it learns only that the word does not come. Yet the
letters say much: where -ly, -ness or -ed can stand, all words with that ending can. So let each
word have, beside a vector of its own, one for each of its endings, and let the network see the sum,

    E = O + S A,

O (V, F) the own vectors, A (K, F) those of K endings, and S (V, K) with a 1 where a word has an
ending. A step of SGD on O and A, with the gradient G (V, F) of the sum, changes the sum by
-η (G + S Sᵀ G). So O and A need not be there: it is enough to take that step with E. It is the step
of the word itself and, once for every ending that they have in common, of each word that ends like
it. The network is one like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch

from blg561.language_model.dataset import Dataset
from blg561.language_model.models import LanguageModel
from blg561.language_model.ngrams import unseen_mass


class Endings:
    """The matrix S of a lexicon.

    An ending is the last 1 to `longest` letters of a word with at least one letter before them; it
    has a column where training showed two words with it or more.

    lexicon: V words. counts: (V,), how often each occurs in training.
    """

    def __init__(self, lexicon: Sequence[str], counts: torch.Tensor, longest: int):
        words_with = defaultdict(list)
        for number, word in enumerate(lexicon):
            for length in range(1, min(longest, len(word) - 1) + 1):
                words_with[word[-length:]].append(number)
        seen = (counts > 0).tolist()
        columns = [words for words in words_with.values() if sum(seen[w] for w in words) > 1]
        places = [[word, column] for column, words in enumerate(columns) for word in words]
        indices = torch.tensor(places, dtype=torch.int64, device=counts.device).reshape(-1, 2).T
        ones = torch.ones(len(places), device=counts.device)
        size = len(lexicon), len(columns)
        matrix = torch.sparse_coo_tensor(indices, ones, size, check_invariants=True)
        self.matrix, self.transposed = matrix.coalesce(), matrix.t().coalesce()

    def shared(self, x: torch.Tensor) -> torch.Tensor:
        """x (V, F) → S Sᵀ x."""
        return self.matrix @ (self.transposed @ x)


@torch.no_grad()
def start_alike(model: LanguageModel, trainset: Dataset, longest: int):
    """Let the vectors start as S A with an A drawn at random, and O at 0."""
    weight = model.embedding.weight
    S = Endings(trainset.unique_data, trainset.counts().to(weight.device), longest).matrix
    A = torch.empty(S.shape[1], weight.shape[1], device=weight.device).uniform_(-0.05, 0.05)
    weight.copy_(S @ A)  # (BT.8)


def share_steps(
    model: LanguageModel, optimizer: torch.optim.Optimizer, trainset: Dataset, longest: int
):
    """From now on let `optimizer` take shared steps with the vectors of the model's words.

    Of a word that training never showed the own vector stays 0, and it moves with its endings: that
    it does not come in training says nothing, or it would not be in the lexicon. All of these
    words have one step in common there, as if the share `ngrams.unseen_mass` of the words that
    training shows were new ones.
    """
    counts = trainset.counts().to(model.output.bias.device)
    endings = Endings(trainset.unique_data, counts, longest)
    unseen, expected = counts == 0, unseen_mass(counts)
    bias, surplus = model.output.bias, 0.0
    words = longest_batch = 1

    def before_reading(embedding, arguments):
        nonlocal words, longest_batch
        if embedding.training:  # not the average's, which is a copy of the model, when evaluated
            words = arguments[0].numel()
            longest_batch = max(longest_batch, words)

    def before_clipping(gradient):
        nonlocal surplus
        # of a word that is never a target the gradient is its mean probability, and in a batch
        # shorter than the longest one less by as much as `training.train_one_epoch` makes its loss
        surplus = gradient[unseen].sum() - expected * words / longest_batch
        return gradient.masked_fill(unseen, 0)

    def after_clipping(*_):
        for weight in dict.fromkeys((model.embedding.weight, model.output.weight)):
            own = weight.grad.masked_fill(unseen[:, None], 0)
            weight.grad.copy_(own + endings.shared(weight.grad))  # (BT.9)
        bias.grad[unseen] = surplus

    model.embedding.register_forward_pre_hook(before_reading)
    bias.register_hook(before_clipping)
    optimizer.register_step_pre_hook(after_clipping)
    # a setting of the optimizer, so that no training without it goes on from a checkpoint of this
    optimizer.defaults["endings"] = longest
