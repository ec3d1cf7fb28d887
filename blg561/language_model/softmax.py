"""A training loss that leaves most of a large lexicon out."""

from __future__ import annotations

import torch
from torch import nn


def sampled_loss(output: nn.Linear, hidden: torch.Tensor, target: torch.Tensor, words: int):
    """The mean loss (nats per token) with `words` words in the softmax instead of all V.

    Half of them are the most frequent ones, which are the first of a lexicon. The others are drawn
    anew at every call, evenly among the rest, and each stands for as many of these as there are
    for one that was drawn; the target itself always counts, once. So the mean of the denominator
    over all draws is the softmax's own (Bengio and Senécal 2003). Its logarithm is on average a
    little smaller. With `words` = V or more it is the loss itself.

    output: the layer of the logits, its rows in the order of the lexicon.
    hidden: what it sees, (n, H). target: the words that follow, int64 (n,).
    """
    V, device = output.out_features, target.device
    if words >= V:
        return nn.functional.cross_entropy(output(hidden), target)
    frequent = words // 2
    drawn = words - frequent
    rest = frequent + torch.randperm(V - frequent, device=device)[:drawn]
    candidates = torch.cat([torch.arange(frequent, device=device), rest])
    stands_for = torch.ones(words, device=device)
    stands_for[frequent:] = (V - frequent) / drawn

    weight, bias = output.weight[candidates], output.bias[candidates]
    logits = nn.functional.linear(hidden, weight, bias) + stands_for.log()
    of_target = (hidden * output.weight[target]).sum(dim=1) + output.bias[target]
    others = logits.masked_fill(candidates == target[:, None], -torch.inf)
    denominator = torch.logaddexp(of_target, others.logsumexp(dim=1))  # (LM.7), its logarithm
    return (denominator - of_target).mean()
