"""What others train, carried out by our loop: the recipes of word_language_model and awd-lstm-lm.

Both read our tokens and our lexicon, in rows that continue, and are scored as our networks are.
Their settings are those that their own pages give:

- `word_language_model` of github.com/pytorch/examples, as it comes;
- `awd-lstm-lm` of github.com/salesforce/awd-lstm-lm, its command for the Penn Treebank. Two
  things differ. Windows have 70 tokens each, where it draws their lengths around 70 and one in
  twenty around 35. And it would begin to average the weights once the validation loss has been
  no lower for some epochs, which does not come about in the minutes that we give it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import nn
from torch.utils.data import DataLoader

from blg561.language_model import training
from blg561.language_model.dataset import ContinuingRows, Dataset, evaluation_loader
from blg561.language_model.models import LanguageModel


class PeerModel(nn.Module):
    """The LSTM of word_language_model: two layers of 200, weights not tied, dropout 0.2.

    Dropout is the usual one, a new mask at every time step: on the embedding's output, between
    the layers and before the output layer.
    """

    def __init__(self, ntoken: int, size=200, layers=2, dropout=0.2):
        super().__init__()
        self.arguments = {"ntoken": ntoken, "size": size, "layers": layers, "dropout": dropout}
        self.embedding = nn.Embedding(ntoken, size)
        self.lstm = nn.LSTM(size, size, layers, dropout=dropout)
        self.output = nn.Linear(size, ntoken)
        self.dropout = nn.Dropout(dropout)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.uniform_(self.output.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)

    def forward(self, x, state):
        """Words x (N, T) → logits (N, T, V); in between time comes first, as in the example."""
        hidden, state = self.lstm(self.dropout(self.embedding(x.t())), state)
        return self.output(self.dropout(hidden).transpose(0, 1)), state

    def initialize(self, batch_size: int):
        zero = self.output.weight.new_zeros(self.lstm.num_layers, batch_size, self.lstm.hidden_size)
        return zero, zero.clone()


class AwdModel(LanguageModel):
    """The LSTM of awd-lstm-lm: three layers, the last as narrow as the tied embedding.

    The state is a tuple (h, c of the first layer, h, c of the second, ...), since the layers have
    two widths. `heard` keeps what the last layer said in the last window, before and after its
    dropout, for `PenalizedLoss`.
    """

    cells = ("lstm",)

    def __init__(self, ntoken: int, embed_size=400, hidden_size=1150):
        probabilities = dict(input_dropout=0.4, hidden_dropout=0.25, output_dropout=0.4)
        probabilities |= dict(embedding_dropout=0.1, weight_drop=0.5)
        super().__init__(ntoken, embed_size, embed_size, 3, 70, tie_weights=True, **probabilities)
        sizes = [embed_size, hidden_size, hidden_size, embed_size]
        self.arguments |= dict(hidden_size=hidden_size)
        self.layers = nn.ModuleList(
            nn.LSTM(before, after, batch_first=True) for before, after in pairwise(sizes)
        )
        self.heard = ()

    def read(self, x: torch.Tensor, state):
        """Words x (N, T) after `state` → what the output layer sees (N, T, H), new state."""
        hidden, after = self.dropouts[0](self.embed(x)), ()
        for n, (layer, drop) in enumerate(zip(self.layers, self.dropouts[1:], strict=True)):
            raw, ends = self.recur(layer, hidden, state[2 * n : 2 * n + 2])
            hidden = drop(raw)
            after += ends
        self.heard = raw, hidden
        return hidden, after

    def initialize(self, batch_size: int):
        """The zero state before the first word of `batch_size` rows."""
        zeros = (
            self.output.weight.new_zeros(1, batch_size, layer.hidden_size) for layer in self.layers
        )
        return tuple(state for zero in zeros for state in (zero, zero.clone()))


class PenalizedLoss(nn.CrossEntropyLoss):
    """In training, with awd-lstm-lm's penalties: 2 × the mean square of what the last layer says
    after its dropout, and 1 × that of its change from step to step before it."""

    def __init__(self, model: AwdModel):
        super().__init__()
        self.model = model

    def forward(self, logits, target):
        loss = super().forward(logits, target)
        if not self.model.training:
            return loss
        raw, dropped = (hidden.float() for hidden in self.model.heard)
        return loss + 2 * dropped.square().mean() + raw.diff(dim=1).square().mean()


@dataclass(frozen=True)
class PeerRecipe:
    """All that decides a training of a peer: SGD, gradients clipped to 0.25, batches of 20 rows.

    network: "word_language_model" or "awd_lstm_lm".
    falls: the rate is divided by 4 after each epoch that is not the best so far.
    precision: as `training.train` takes it.
    """

    name: str
    network: str
    learning_rate: float
    seq_length: int
    seed: int
    epochs: int
    weight_decay: float = 0.0
    falls: bool = False
    precision: str = "float32"


WORD_LANGUAGE_MODEL = PeerRecipe(
    name="word_language_model",
    network="word_language_model",
    learning_rate=20.0,
    seq_length=35,
    seed=1111,
    epochs=40,
    falls=True,
)
WORD_LANGUAGE_MODEL_AUTO = replace(
    WORD_LANGUAGE_MODEL, name="word_language_model_bfloat16", precision="auto"
)
AWD_LSTM_LM = PeerRecipe(
    name="awd_lstm_lm",
    network="awd_lstm_lm",
    learning_rate=30.0,
    seq_length=70,
    seed=141,
    epochs=500,
    weight_decay=1.2e-6,
)


def build_model(recipe: PeerRecipe, ntoken: int) -> nn.Module:
    torch.manual_seed(recipe.seed)
    return {"word_language_model": PeerModel, "awd_lstm_lm": AwdModel}[recipe.network](ntoken)


def run(recipe: PeerRecipe, trainset: Dataset, validset: Dataset, **options) -> dict:
    """Carry out the recipe of a peer; `options` go to `training.train`. Its history."""
    model = build_model(recipe, len(trainset.unique_data))
    optimizer = torch.optim.SGD(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    plateau = dict(factor=0.25, patience=0, threshold=0)
    penalized = isinstance(model, AwdModel)
    return training.train(
        DataLoader(trainset, batch_sampler=ContinuingRows(trainset, 20, recipe.seq_length)),
        evaluation_loader(validset),
        model,
        optimizer,
        PenalizedLoss(model) if penalized else nn.CrossEntropyLoss(),
        nepoch=recipe.epochs,
        grad_clip=True,
        clip_val=0.25,
        scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **plateau)
        if recipe.falls
        else None,
        model_name=recipe.name,
        precision=recipe.precision,
        **options,
    )
