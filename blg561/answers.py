"""The questions of the lessons' *Your turn* sections. `blg561.checks.check` looks them up here."""

from dataclasses import dataclass

import numpy as np

from blg561.layer.recurrent_layers import gru_cell_backward, sigmoid


@dataclass(frozen=True)
class Question:
    """What is right, and what to say to someone who is not there yet.

    expected: a number, an array, a boolean, a string, a set of strings or a tuple of these, or a
        function that computes one from what the lesson gives (with `cases`: from one of them).
    rtol: the largest relative error of a number or an array that still counts as right.
    hint: a sentence that follows a wrong answer, or a tuple of them, one for each try, or a
        dictionary: of each of the items what follows if it is the first wrong one, and under ""
        what follows if none is right.
    cases: tuples of arguments. If there are any, the answer is a function of the reader's own,
        which has to agree with the function `expected` on each of them.
    items: what the items of a tuple or a list are called.
    choices: where a letter is asked for, all letters that there are: "abcd".
    """

    expected: object
    rtol: float = 1e-6
    hint: str | tuple[str, ...] | dict[str, str] = ""
    cases: tuple[tuple, ...] = ()
    items: tuple[str, ...] = ()
    choices: str = ""


def unigram_perplexity(counts, targets, k):
    """Perplexity of the words `targets` (n,) under word counts `counts` (V,), k added to each."""
    probabilities = (counts + k) / (counts + k).sum()
    return np.exp(-np.log(probabilities[targets]).mean())


def clip(gradients, limit):
    """Arrays of any shapes, scaled together so that their common norm is at most `limit`."""
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    return [g * limit / max(norm, limit) for g in gradients]


def min_p(probabilities, share):
    """Rows of (n, V) without the words below `share` of the row's largest, each summing to 1."""
    kept = probabilities * (probabilities >= share * probabilities.max(axis=1, keepdims=True))
    return kept / kept.sum(axis=1, keepdims=True)


def last_state(x, h0, Wx, Wh, b):
    """The state after the last step of a tanh layer, (N, H)."""
    h = h0
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ Wx + h @ Wh + b)
    return h


def by_differences(f, dout, *arrays):
    """The gradients of sum(f(*arrays) * dout) with respect to each array, by differences."""
    from blg561.checks import grad_check  # which looks the questions up here

    return tuple(grad_check(lambda _: f(*arrays), array, dout) for array in arrays)


def random_arrays(seed, *shapes):
    """Normal numbers with two digits after the point, so that a reader can paste them."""
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape).round(2) for shape in shapes)


def rnn_step_gradients(dnext_h, x, prev_h, next_h, Wx, Wh):
    """dx, dprev_h, dWx, dWh and db of one step of the tanh layer, by differences."""

    def forward(x, prev_h, Wx, Wh, b):
        return np.tanh(x @ Wx + prev_h @ Wh + b)

    b = (
        np.arctanh(next_h) - x @ Wx - prev_h @ Wh
    )  # a row for each sequence, with which next_h comes
    *gradients, db = by_differences(forward, dnext_h, x, prev_h, Wx, Wh, b)
    return *gradients, db.sum(axis=0)


def rnn_step_case(N, D, H, seed):
    """dnext_h, x, prev_h, next_h, Wx and Wh of one step."""
    shapes = (N, H), (N, D), (N, H), (N, H), (D, H), (H, H)
    dnext_h, x, prev_h, a, Wx, Wh = random_arrays(seed, *shapes)
    return dnext_h, x, prev_h, np.tanh(a).round(2), Wx, Wh


def lstm_memory_gradients(dnext_h, dnext_c, prev_c, i, f, o, g):
    """di, df, do, dg and dprev_c of (LSTM.6) to (LSTM.8), by differences."""

    def forward(i, f, o, g, prev_c):
        next_c = f * prev_c + i * g
        return np.stack([o * np.tanh(next_c), next_c])

    return by_differences(forward, np.stack([dnext_h, dnext_c]), i, f, o, g, prev_c)


def lstm_memory_case(seed):
    """dnext_h, dnext_c, prev_c, i, f, o and g of two sequences and three units."""
    dnext_h, dnext_c, prev_c, *gates, g = random_arrays(seed, *7 * [(2, 3)])
    return dnext_h, dnext_c, prev_c, *(sigmoid(a).round(2) for a in gates), np.tanh(g).round(2)


def gru_dprev_h(dnext_h, prev_h, update, reset, candidate, Wh, Whi):
    """The terms of dprev_h in one step of the GRU, one for each use, by differences."""
    gates = np.concatenate([update, reset], axis=1)
    xa = np.log(gates / (1 - gates)) - prev_h @ Wh
    xi = np.arctanh(candidate) - (reset * prev_h) @ Whi

    def forward(mixed, scaled, gated):
        z, r = np.split(sigmoid(xa + gated @ Wh), 2, axis=1)
        return z * mixed + (1 - z) * np.tanh(xi + (r * scaled) @ Whi)

    return by_differences(forward, dnext_h, *(prev_h.copy() for _ in range(3)))


def gru_case(seed):
    """dnext_h, prev_h, update, reset, candidate, Wh and Whi of two sequences and three units."""
    dnext_h, prev_h, a_z, a_r, ai, Wh, Whi = random_arrays(seed, *5 * [(2, 3)], (3, 6), (3, 3))
    gates = sigmoid(a_z).round(2), sigmoid(a_r).round(2), np.tanh(ai).round(2)
    return dnext_h, prev_h, *gates, Wh, Whi


def rectifier_da(dnext_h, next_h):
    """The gradient before h = max(a, 0), with the slope 0 at a = 0."""
    return dnext_h * (next_h > 0)


def direct_path(forget):
    """forget (T, H) → (T, H): in row t the product of the forget gates after it, f_{t+1} … f_T."""
    path = np.ones_like(forget)
    path[:-1] = np.cumprod(forget[:0:-1], axis=0)[::-1]
    return path


def gru_parameter_count(D, H):
    """How many numbers the parameters of a GRU layer hold."""
    return 3 * (D * H + H * H + H)


def context_distribution(counts, D, lower):
    """p(w | h) of all words from counts (V,), discounts D (3,) and the lower model (V,)."""
    taken = np.append(0, D)[np.minimum(counts, 3)]
    total = counts.sum()
    return lower if total == 0 else (counts - taken) / total + taken.sum() / total * lower


def cache_distribution(states, words, state, theta, ntoken):
    """What a cache of `states` (m, H) and `words` (m,) expects in the state (H,), (ntoken,)."""
    votes = theta * states @ state
    votes = np.exp(votes - votes.max())
    return np.bincount(words, votes / votes.sum(), minlength=ntoken)


def race(logits, exponentials, temperature):
    """The word that wins the race of (NLM.18), from logits (V,)."""
    return np.argmax(logits / temperature - np.log(exponentials))


def half_lives(gates):
    """gates (T, H) → (H,), the steps after which half of a cell is left, at the mean log gate."""
    return np.log(0.5) / np.log(gates).mean(axis=0)


def mixed_nats(parts, weights):
    """Nats (n,) of a mixture of systems with the nats `parts` (k, n), mixed with `weights` (k,)."""
    return -np.log(weights @ np.exp(-parts))


def soft_target_gradient(a, q):
    """The gradient of -Σ q ln softmax(a), mean over the rows, with respect to a (n, V)."""
    p = np.exp(a - a.max(axis=1, keepdims=True))
    return (p / p.sum(axis=1, keepdims=True) - q) / len(a)


def masked_weights(scores, mask):
    """The softmax of scores (n, S) over the positions where mask (n, S) is True, 0 elsewhere."""
    scores = np.where(mask, scores, -np.inf)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(dweights, weights):
    """The gradient at the scores (n, S) of softmax weights (n, S)."""
    return weights * (dweights - (weights * dweights).sum(axis=1, keepdims=True))


def beam_step(totals, log_p, width):
    """Pairs (hypothesis, symbol) of the `width` best sums, totals (n,) + log_p (n, V)."""
    sums = totals[:, None] + log_p
    best = np.argsort(-sums, axis=None)[:width]
    return np.stack(np.unravel_index(best, sums.shape), axis=1)


def all_as_one(keep, write):
    """What all steps h → keep h + write, each (T, H), together keep and write, (H,) each."""
    kept, written = keep[0], write[0]
    for k, w in zip(keep[1:], write[1:], strict=True):
        kept, written = k * kept, k * written + w
    return kept, written


def parity_steps(bits):
    """The steps that turn the sign of a state at each one among bits (T,), keep and write (T,)."""
    return 1 - 2 * bits, np.zeros_like(bits)


QUESTIONS: dict[str, Question] = {
    # 01 RNN
    "01.1": Question(
        expected=60200,
        hint="Write down the three shapes, and count the entries of each.",
    ),
    "01.2": Question(
        expected=last_state,
        hint="Start from h0 and replace the state T times; step t reads x[:, t].",
        cases=(
            random_arrays(0, (2, 3, 2), (2, 3), (2, 3), (3, 3), (3,)),
            (
                np.array([[[1.0, -1.0], [0.5, 2.0], [-1.0, 0.0]]]),
                np.array([[0.3, -0.2]]),
                np.array([[0.2, -0.4], [0.6, 0.1]]),
                np.array([[0.5, -0.3], [0.2, 0.7]]),
                np.array([0.1, -0.1]),
            ),
            (
                np.array([[[0.5]], [[-1.5]]]),
                np.array([[0.0, 1.0, -1.0], [2.0, 0.5, 0.0]]),
                np.array([[1.0, -0.5, 0.3]]),
                np.array([[0.4, 0.0, 0.1], [-0.2, 0.9, 0.0], [0.3, 0.3, -0.6]]),
                np.array([0.0, 0.2, -0.2]),
            ),
        ),
    ),
    "01.3": Question(
        expected=rnn_step_gradients,
        hint={
            "": "Begin with da, dnext_h times the slope of tanh, which next_h alone tells.",
            "dx": "x stood to the left of its matrix: da takes its place, and the matrix comes "
            "back transposed.",
            "dprev_h": "prev_h stood to the left of its matrix: da takes its place, and the "
            "matrix comes back transposed.",
            "dWx": "A weight's gradient is what stood to its left, transposed, times da.",
            "dWh": "A weight's gradient is what stood to its left, transposed, times da.",
            "db": "b is added to each of the N rows. What comes back to it from all of them?",
        },
        items=("dx", "dprev_h", "dWx", "dWh", "db"),
        rtol=1e-5,
        cases=(rnn_step_case(N=2, D=3, H=4, seed=0), rnn_step_case(N=3, D=3, H=3, seed=1)),
    ),
    "01.4": Question(
        expected=np.array([1.28, 2.56, 0.64]),
        hint="First da = dh (1 - h²), with h the state after the step; the other two follow.",
        items=("da_t", "dh_{t-1}", "dWh"),
    ),
    "01.5": Question(
        expected=rectifier_da,
        hint="The slope of max(a, 0) is 1 where a > 0, and there the state is positive too.",
        cases=(
            (np.array([[1.0, -2.0], [3.0, 0.5]]), np.array([[0.0, 1.5], [0.2, 0.0]])),
            (np.array([[-1.0, 4.0, 2.0]]), np.array([[0.0, 0.0, 7.0]])),
        ),
    ),
    "01.6": Question(
        expected="c",
        hint=(
            "At the last step dx is right. What lies between that step and the one before?",
            "What has to be multiplied by Wh.T, and what is multiplied here?",
        ),
        choices="abcdefg",
    ),
    "01.7": Question(
        expected=31,
        hint="Solve 0.8^k < 0.001 with logarithms; k is a whole number.",
    ),
    "01.8": Question(
        expected="d",
        hint="Which of the four is more than one number that multiplies the whole sum?",
        choices="abcd",
    ),
    # 02 LSTM
    "02.1": Question(
        expected=np.array([1.6, 0.5 * np.tanh(1.6)]),
        rtol=1e-3,
        hint="First c = f c + i g, then h = o tanh(c) with the new c.",
        items=("c", "h"),
    ),
    "02.2": Question(
        expected=240_800,
        hint="The shapes are (D, 4H), (H, 4H) and (4H,).",
    ),
    "02.3": Question(
        expected=lstm_memory_gradients,
        hint={
            "": "Compute next_c and its tanh first. Then go back: next_h is o times that tanh.",
            "do": "next_h is o times a tanh. Of what?",
        }
        | dict.fromkeys(
            ("di", "df", "dg", "dprev_c"),
            "next_c goes to next_h through o and tanh, and to the next step: two gradients add up. "
            "Each factor of f * prev_c and of i * g gets their sum times the other factor.",
        ),
        items=("di", "df", "do", "dg", "dprev_c"),
        rtol=1e-5,
        cases=(lstm_memory_case(seed=0), lstm_memory_case(seed=1)),
    ),
    "02.4": Question(
        expected=lambda dc, prev_c, g: dc * (prev_c - g),
        hint="f stands in two products. Add up what it gets from each, and mind the sign in 1 - f.",
        cases=(
            (np.array([[1.0, -2.0]]), np.array([[0.5, 3.0]]), np.array([[0.2, -0.9]])),
            (np.array([[0.3], [2.0]]), np.array([[-1.0], [0.0]]), np.array([[0.4], [0.7]])),
        ),
    ),
    "02.5": Question(
        expected="c",
        hint="What do the lines do with dnext_c when dnext_h is zero?",
        choices="abcdefghijk",
    ),
    "02.6": Question(
        expected=direct_path,
        hint="Go backward from the last row, which is 1: a row is the next row times its gate.",
        cases=(
            (np.array([[0.9, 0.1], [0.5, 1.0], [0.8, 0.3], [0.7, 0.6]]),),
            (np.array([[0.2, 0.4, 0.6]]),),
        ),
    ),
    "02.7": Question(
        expected=-np.log(2**0.01 - 1),
        rtol=2e-3,
        hint="Find f with f^100 = 1/2 first, then the bias with σ(bias) = f.",
    ),
    # 03 GRU
    "03.1": Question(
        expected=0.125,
        hint="A share of 0.75 of the old value stays; the rest is taken from the candidate.",
    ),
    "03.2": Question(
        expected=(0, 1),
        hint="The RNN keeps nothing of its old state as it is, and its tanh sees all of it.",
    ),
    "03.3": Question(
        expected=gru_parameter_count,
        hint="Add up the entries of the six shapes in the table of section 1.",
        cases=((3, 4), (12, 24)),
    ),
    "03.4": Question(
        expected=gru_dprev_h,
        hint={
            "": "prev_h has three uses. Begin with the one in the mixture.",
            "mixture": "In z * prev_h the other factor is z.",
            "candidate": "Back through 1 - z, then tanh, then Whi, then the reset gate.",
            "gates": "da = [da_z, da_r] first: z has two uses in the mixture, r one in r * prev_h, "
            "and each goes back through its sigmoid.",
        },
        items=("mixture", "candidate", "gates"),
        rtol=1e-5,
        cases=(gru_case(seed=0), gru_case(seed=1)),
    ),
    "03.5": Question(
        expected=np.array([0.3, -0.2]),
        hint="What becomes of 1 - z and of z (1 - z)?",
    ),
    "03.6": Question(
        expected=gru_cell_backward,
        hint="In s = r ⊙ h, the gradient of one factor contains the other factor.",
        items=("da", "dai", "dprev_h"),
        cases=(
            (
                np.array([[1.0, -2.0], [0.5, 0.3], [-0.7, 1.1]]),
                np.array([[0.4, -0.9], [0.2, 0.6], [-0.3, 0.8]]),
                (
                    np.array([[0.3, 0.8], [0.6, 0.1], [0.9, 0.5]]),
                    np.array([[0.7, 0.2], [0.4, 0.9], [0.1, 0.6]]),
                    np.array([[-0.5, 0.1], [0.8, -0.2], [0.3, 0.6]]),
                ),
                np.array([[0.5, -1.0], [1.5, 0.2]]),
            ),
        ),
    ),
    "03.7": Question(
        expected=-np.log(2 ** (1 / 39) - 1),
        rtol=1e-3,
        hint="The 39th power of z is one half; then ln(z / (1 - z)) undoes the sigmoid.",
    ),
    "03.8": Question(
        expected={"a", "b", "d"},
        hint="The two agree if r has the same value at k and at j wherever the weight is not 0.",
        choices="abcde",
    ),
    # 04 Language modelling
    "04.1": Question(
        expected=4.0,
        hint="Perplexity is one over the geometric mean of the probabilities.",
    ),
    "04.2": Question(
        expected=np.log2(120),
        rtol=1e-3,
        hint="A perplexity of 2 is one bit, one of 4 is two bits.",
    ),
    "04.3": Question(
        expected=2,
        hint="How many targets has each row, and how many windows is that?",
    ),
    "04.4": Question(
        expected=unigram_perplexity,
        hint="Add k to every count, then divide by the sum of the new counts.",
        cases=(
            (np.array([3, 1, 0]), np.array([0, 2, 1]), 1),
            (np.array([10, 0, 0, 5, 1]), np.array([1, 1, 4, 0, 0, 3]), 0.5),
        ),
    ),
    "04.5": Question(
        expected=clip,
        hint="Add up the squares of all numbers in all arrays; compare the root with the limit.",
        cases=(
            ([np.array([3.0]), np.array([4.0])], 1.0),
            ([np.array([[1.0, -2.0], [2.0, 0.0]]), np.array([4.0, 0.0, 0.0])], 2.5),
            ([np.array([[0.1, 0.2]]), np.array([-0.2])], 0.5),
            ([np.zeros(2), np.zeros((1, 3))], 0.25),
        ),
    ),
    "04.6": Question(
        expected=1 / (1 + np.exp([-2.0, -4.0])),
        rtol=1e-3,
        hint="Divide both logits by the temperature before the softmax.",
    ),
    "04.7": Question(
        expected=min_p,
        hint="Each row has a limit of its own, `share` times its largest entry, of shape (n, 1).",
        cases=(
            (np.array([[0.5, 0.3, 0.2], [0.1, 0.85, 0.05]]), 0.5),
            (np.array([[0.25, 0.25, 0.25, 0.25]]), 1.0),
            (np.array([[0.7, 0.1, 0.05, 0.15], [0.4, 0.3, 0.2, 0.1]]), 0.1),
        ),
    ),
    "04.8": Question(
        expected="b",
        hint="Which of the three is about training only?",
    ),
    # 05 Beyond the target
    "05.1": Question(
        expected=6000 / 5500,
        rtol=1e-3,
        hint="How many bits is one word, and how many are all of them?",
    ),
    "05.2": Question(
        expected=context_distribution,
        rtol=1e-6,
        hint="What is taken from all counts together, as a share of their sum, is λ. What if there "
        "are no counts?",
        cases=(
            (np.array([3, 1, 0]), np.array([0.5, 1.0, 1.5]), np.array([0.01, 0.004, 0.002])),
            (np.array([0, 7, 2, 1]), np.array([0.4, 0.9, 1.3]), np.array([0.1, 0.2, 0.3, 0.4])),
            (np.array([0, 0]), np.array([0.5, 1.0, 1.5]), np.array([0.75, 0.25])),
        ),
    ),
    "05.3": Question(
        expected=mixed_nats,
        hint="Go back to probabilities, take their weighted mean, then the logarithm.",
        cases=(
            (np.array([[1.0, 3.0, 0.5], [2.0, 0.1, 0.5]]), np.array([0.75, 0.25])),
            (np.array([[1.0, np.inf], [4.0, 2.0], [0.3, 5.0]]), np.array([0.5, 0.3, 0.2])),
        ),
    ),
    "05.4": Question(
        expected="b",
        hint="In which of them were the scored words known when the weights were chosen?",
    ),
    "05.5": Question(
        expected=cache_distribution,
        rtol=1e-6,
        hint="The votes are e to the θ times the inner product; subtract the largest exponent, add "
        "up the votes of each word, divide by the sum of all.",
        cases=(
            (np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([1, 0]), np.array([2.0, 5.0]), 0.5, 3),
            (np.array([[1.0], [0.5], [1.0]]), np.array([2, 2, 0]), np.array([1.0]), 0.8, 4),
            (np.array([[40.0], [39.0]]), np.array([0, 1]), np.array([50.0]), 1.0, 2),
        ),
    ),
    "05.6": Question(
        expected="b",
        hint="`predict` is handed many words at a time. What does its first row know of the last?",
    ),
    "05.7": Question(
        expected=True,
        hint="Fewer weights to learn in so short a training, or more units to learn with? The "
        "number of epochs and the seed stay as they are.",
    ),
    # 06 Open the box
    "06.1": Question(
        expected=np.array([[5.0, 5.0], [0.0, 0.0], [-2.0, 2.0]]),
        hint="Which steps read the word 0, which the word 1, which the word 2?",
    ),
    "06.2": Question(
        expected=soft_target_gradient,
        hint="The loss is a mean of the losses -ln p_y with the weights q_y; so is its gradient.",
        cases=(
            (
                np.array([[1.0, 0.0, -2.0], [0.5, 0.5, 3.0]]),
                np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]]),
            ),
            (np.array([[800.0, 799.0]]), np.array([[0.25, 0.75]])),
        ),
    ),
    "06.3": Question(
        expected=2_173_710,
        rtol=0,
        hint="The tied matrix counts once. Wx, Wh and b of the layer have 4H columns each.",
    ),
    "06.4": Question(
        expected="c",
        hint="Which of the three do zeros hide?",
    ),
    "06.5": Question(
        expected=(0.7, 0.4),
        hint="Each of PyTorch's two biases moves as far as our one does.",
    ),
    "06.6": Question(
        expected=race,
        hint="Divide the logits by the temperature, make probabilities, then let them race.",
        cases=(
            (np.log([0.5, 0.3, 0.2]), np.array([2.0, 0.9, 0.5]), 1.0),
            (np.array([3.0, 2.0, 1.0]), np.array([1.0, 0.3, 0.5]), 0.5),
            (np.array([3.0, 2.0, 1.0]), np.array([1.0, 0.3, 0.2]), 4.0),
            (np.array([1000.0, 999.0]), np.array([1.0, 0.25]), 1.0),
        ),
    ),
    "06.7": Question(
        expected=half_lives,
        hint="What is left after T steps is the product of T gates; its logarithm is a sum.",
        cases=(
            (np.array([[0.5, 0.9], [0.5, 0.9]]),),
            (np.array([[0.99, 0.2, 0.6], [0.01, 0.3, 0.6], [0.99, 0.4, 0.6]]),),
        ),
    ),
    "06.8": Question(
        expected="b",
        hint="How many of 1000 tries succeed if each has a chance of one in a thousand?",
    ),
    # 07 Attention
    "07.1": Question(
        expected=23,
        hint="Count the encoder's updates after the one that reads the digit, and the decoder's up "
        "to the step that writes it.",
    ),
    "07.2": Question(
        expected=8,
        hint="Variances of independent numbers add up; the standard deviation is the root.",
    ),
    "07.3": Question(
        expected=masked_weights,
        hint="Put -∞ where the mask is False, then subtract each row's largest score.",
        cases=(
            (np.array([[1.0, 2.0, 3.0]]), np.array([[True, False, True]])),
            (np.array([[1e4, 0.0], [-1e4, 5.0]]), np.array([[True, True], [True, False]])),
        ),
    ),
    "07.4": Question(
        expected=softmax_backward,
        hint="The mean of the row's dweights, weighted with the weights, is subtracted from each.",
        cases=(
            (np.array([[1.0, -2.0, 0.5]]), np.array([[0.2, 0.3, 0.5]])),
            (np.array([[3.0, 3.0], [1.0, 0.0]]), np.array([[0.5, 0.5], [0.9, 0.1]])),
        ),
    ),
    "07.5": Question(
        expected="c",
        hint="What changes the output if you change it, whatever the weight on it says?",
        choices="abc",
    ),
    "07.6": Question(
        expected="b",
        hint="What does the decoder read in training, and what when it writes alone?",
        choices="abc",
    ),
    "07.7": Question(
        expected=beam_step,
        hint="Add the totals as a column, sort all n·V sums together, and turn the place of each "
        "back into a row and a column.",
        cases=(
            (np.array([-1.0, -1.5]), np.log([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), 3),
            (np.array([0.0]), np.log([[0.2, 0.5, 0.3]]), 2),
            # the best three begin alike
            (
                np.array([-3.0, -0.5, -2.5]),
                np.log([[0.5, 0.3, 0.2], [0.45, 0.35, 0.2], [0.4, 0.39, 0.21]]),
                4,
            ),
            # the second best of one beginning comes after the best of another
            (
                np.array([-0.1, -3.0, -2.0]),
                np.log([[0.3, 0.28, 0.22, 0.2], [0.7, 0.1, 0.1, 0.1], [0.97, 0.01, 0.01, 0.01]]),
                5,
            ),
        ),
    ),
    # 08 After the LSTM
    "08.1": Question(
        expected=1.25,
        hint="z is the share of the candidate here, and 1 - z that of the old value.",
    ),
    "08.2": Question(
        expected=(0.1, 3.2),
        hint="Put 0.5 h + 1 in the place of h in 0.2 h + 3, and multiply out.",
        items=("what they keep", "what they write"),
    ),
    "08.3": Question(
        expected=10,
        rtol=0,
        hint="A round doubles how many steps a place holds. How often until there are 1000?",
    ),
    "08.4": Question(
        expected=all_as_one,
        hint="Go through the steps once, and join each to the pair of those before it: (MIN.16) "
        "and (MIN.17), with the old pair in both.",
        items=("kept", "written"),
        cases=(
            (np.array([[0.5], [0.2]]), np.array([[1.0], [3.0]])),
            (np.array([[0.9, 0.0, 0.3]] * 4), np.arange(12.0).reshape(4, 3)),
            (np.array([[0.7, 0.1]]), np.array([[2.0, -1.0]])),
        ),
    ),
    "08.5": Question(
        expected="b",
        hint="Put one step into the next one. Is the result a step of the same form?",
        choices="abc",
    ),
    "08.6": Question(
        expected=parity_steps,
        hint="A one has to turn 1 into -1 and -1 into 1, and a zero to leave both as they are, "
        "whatever came before.",
        items=("keep", "write"),
        cases=(
            (np.array([1.0, 0.0, 1.0, 1.0]),),
            (np.array([0.0, 0.0]),),
        ),
    ),
    "08.7": Question(
        expected=(3200, 120_960),
        hint="An LSTM carries two vectors, a transformer block two for every word of its window.",
        items=("LSTM", "transformer"),
    ),
    "08.8": Question(
        expected="b",
        hint="What was held equal, and what was not varied at all?",
        choices="abcd",
    ),
}
