"""The three layers, judged method by method against autograd on numbers drawn at grading time.

What a method should give is computed here, in PyTorch, and compared here. Where a forward pass is
one of the usual mistakes, its gradients are judged for the function that it does compute, so that
one mistake costs its points once; each of these functions is as much work as the right one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import torch

from blg561 import layer as ours
from blg561.assignment.sandbox import Failed, Sandbox
from blg561.assignment.scores import Mark

CLASSES = {"RNN": "RNNLayer", "LSTM": "LSTMLayer", "GRU": "GRULayer"}
# of the largest number of an array; gradients of a formula come to 1e-14, of central differences to
# 1e-11 at best
NEAR, EXACT = 1e-6, 1e-12
UNTOUCHED = 0.2  # of a method's points, where its inputs are as they were before
GATES = {"LSTM": "ifog", "GRU": "zr"}
METHODS = ("forward_step", "backward_step", "forward", "backward")


# ------------------------------------------------------------------------------------------------
# What is right, and what the usual mistakes give
# ------------------------------------------------------------------------------------------------


class Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, kind):
        ctx.kind = kind
        y = torch.tanh(a)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        slope = {"right": 1 - y**2, "1-h": 1 - y, "none": torch.ones_like(y)}[ctx.kind]
        return dy * slope, None


class Sigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, kind):
        ctx.kind = kind
        y = torch.sigmoid(a)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        slope = {"right": y * (1 - y), "half": 1 - y, "none": torch.ones_like(y)}[ctx.kind]
        return dy * slope, None


class Product(torch.autograd.Function):
    """x @ W, whose gradient for x forgets to transpose a square W."""

    @staticmethod
    def forward(ctx, x, W):
        ctx.save_for_backward(x, W)
        return x @ W

    @staticmethod
    def backward(ctx, dy):
        x, W = ctx.saved_tensors
        return dy @ (W if W.shape[0] == W.shape[1] else W.T), x.T @ dy


class Blocks(torch.autograd.Function):
    """The gates' blocks of a in one order, whose gradients are put together in another."""

    @staticmethod
    def forward(ctx, a, order, order_back):
        ctx.places = [order.index(gate) for gate in order_back]
        return a.chunk(len(order), dim=1)

    @staticmethod
    def backward(ctx, *da):
        return torch.cat([da[place] for place in ctx.places], dim=1), None, None


@dataclass(frozen=True)
class Way:
    """A way to compute a layer: the right one, or one with a usual mistake."""

    order: str = ""  # of the gates' blocks
    order_back: str = ""  # of their gradients' blocks, where it is another one
    activation: str = "tanh"  # of the RNN's state and the gated layers' candidate
    cell_tanh: bool = True
    transposed: bool = False  # prev_h Wh.T for prev_h Wh
    update_swapped: bool = False
    reset_after: bool = False
    tanh: str = "right"
    sigmoid: str = "right"
    product: str = "right"
    flow: bool = True  # whether gradients go from a step to the one before

    def squash(self, a):
        return Tanh.apply(a, self.tanh) if self.activation == "tanh" else self.gate(a)

    def gate(self, a):
        return Sigmoid.apply(a, self.sigmoid)

    def times(self, x, W):
        return x @ W if self.product == "right" else Product.apply(x, W)


def step(part: str, way: Way, x, states, p):
    """The states after one step. p: the parameters by name."""
    h = states[0]
    a = x @ p["Wx"] + way.times(h, p["Wh"].T if way.transposed else p["Wh"]) + p["b"]
    if part == "RNN":
        return (way.squash(a),)
    order = way.order or GATES[part]
    blocks = dict(zip(order, Blocks.apply(a, order, way.order_back or order), strict=True))
    if part == "LSTM":
        i, f, o = (way.gate(blocks[name]) for name in "ifo")
        c = f * states[1] + i * way.squash(blocks["g"])
        return o * (Tanh.apply(c, way.tanh) if way.cell_tanh else c), c
    z, r = (way.gate(blocks[name]) for name in "zr")
    if way.reset_after:
        ai = x @ p["Wxi"] + r * way.times(h, p["Whi"]) + p["bi"]
    else:
        ai = x @ p["Wxi"] + way.times(r * h, p["Whi"]) + p["bi"]
    candidate = way.squash(ai)
    return ((1 - z) * h + z * candidate if way.update_swapped else z * h + (1 - z) * candidate,)


FORWARD_MISTAKES = {
    "RNN": {
        "it multiplies prev_h by the transpose of Wh": Way(transposed=True),
        "it has the sigmoid where tanh belongs": Way(activation="sigmoid"),
    },
    "LSTM": {
        **{
            f"it takes the gates' blocks in the order {', '.join(order)} "
            "(they are i, f, o, g: input, forget, output gate, candidate)": Way(
                order="".join(order)
            )
            for order in permutations("ifog")
            if "".join(order) != "ifog"
        },
        "the candidate goes through the sigmoid": Way(activation="sigmoid"),
        "the cell state goes into h without its tanh": Way(cell_tanh=False),
    },
    "GRU": {
        "it takes the blocks of the update and the reset gate in the other order": Way(order="rz"),
        "the update gate weighs the candidate where it should weigh the old state": Way(
            update_swapped=True
        ),
        "the reset gate acts after the product with Whi, as in PyTorch's GRU": Way(
            reset_after=True
        ),
        "the candidate goes through the sigmoid": Way(activation="sigmoid"),
    },
}
BACKWARD_MISTAKES = {
    "the slope of tanh is 1 - h where it should have the square": {"tanh": "1-h"},
    "the slope of tanh is left out": {"tanh": "none"},
    "the slope of the sigmoid lacks one of its two factors": {"sigmoid": "half"},
    "the slope of the sigmoid is left out": {"sigmoid": "none"},
    "a weight matrix is not transposed": {"product": "plain"},
    "nothing comes back from the step after": {"flow": False},
}


@dataclass
class Case:
    """Numbers drawn for one part: sizes, inputs, parameters, upstream gradients."""

    part: str
    sizes: tuple[int, int, int, int]
    parameters: dict
    step_inputs: dict
    step_upstream: dict
    inputs: dict
    upstream: dict


# More than 100,000 parameters: a forward pass for each of them does not come to an end in time.
LARGE = 3


def draw(part: str, seed: int, number: int) -> Case:
    """Cases 0 and 1 have four different sizes, 2 is one row and one step, LARGE a wide layer."""
    rng = np.random.default_rng([seed, sum(map(ord, part)), number])
    N, T, D, H = map(int, rng.permutation(np.arange(2, 7))[:4])
    if number == 2:
        N = T = 1
    if number == LARGE:
        N, T = 2, 3
        D, H = map(int, rng.integers(*((280, 320) if part == "RNN" else (140, 170)), size=2))
    layer = getattr(ours, CLASSES[part])(D, H)
    spread = 0.6 if number != LARGE else 1 / np.sqrt(H)
    parameters = {k: rng.normal(0, spread, v.shape) for k, v in layer.parameters.items()}
    names = ["h", "c"] if part == "LSTM" else ["h"]
    step_inputs = {"x": rng.normal(size=(N, D))}
    step_inputs |= {f"prev_{name}": rng.normal(size=(N, H)) for name in names}
    step_upstream = {f"dnext_{name}": rng.normal(size=(N, H)) for name in names}
    inputs = {"x": rng.normal(size=(N, T, D)), "h0": rng.normal(size=(N, H))}
    upstream = {"dh": rng.normal(size=(N, T, H))}
    return Case(part, (N, T, D, H), parameters, step_inputs, step_upstream, inputs, upstream)


@dataclass
class Result:
    """What a method gives by name, and of each parameter's gradient the part of every step."""

    values: dict
    by_step: dict


def tensor(array):
    return torch.tensor(array, requires_grad=True)


def compute(case: Case, method: str, way: Way) -> Result:
    if method.endswith("_step"):
        inputs = {name: tensor(array) for name, array in case.step_inputs.items()}
        parameters = {name: tensor(array) for name, array in case.parameters.items()}
        x, *states = inputs.values()
        after = step(case.part, way, x, states, parameters)
        if method == "forward_step":
            values = {f"next_{n}": s.detach().numpy() for n, s in zip("hc", after, strict=False)}
            return Result(values, {})
        loss = sum(
            (s * torch.tensor(u)).sum()
            for s, u in zip(after, case.step_upstream.values(), strict=True)
        )
        sources = {**inputs, **parameters}
        grads = torch.autograd.grad(loss, list(sources.values()))
        return Result({"d" + n: g.numpy() for n, g in zip(sources, grads, strict=True)}, {})
    x, h0 = (tensor(array) for array in case.inputs.values())
    T = x.shape[1]
    copies = [{n: tensor(a) for n, a in case.parameters.items()} for _ in range(T)]
    states = (h0, torch.zeros_like(h0)) if case.part == "LSTM" else (h0,)
    hs = []
    for t in range(T):
        if t and not way.flow:
            states = tuple(s.detach() for s in states)
        states = step(case.part, way, x[:, t], states, copies[t])
        hs.append(states[0])
    h = torch.stack(hs, dim=1)
    if method == "forward":
        return Result({"h": h.detach().numpy()}, {})
    loss = (h * torch.tensor(case.upstream["dh"])).sum()
    flat = [tensor_ for copy in copies for tensor_ in copy.values()]
    dx, dh0, *grads = torch.autograd.grad(loss, [x, h0, *flat])
    names = list(case.parameters)
    steps = {"d" + n: [g.numpy() for g in grads[k :: len(names)]] for k, n in enumerate(names)}
    values = {"dx": dx.numpy(), "dh0": dh0.numpy(), **{n: sum(s) for n, s in steps.items()}}
    return Result(values, steps)


def same(came, right, tolerance: float = NEAR) -> bool:
    if came.shape != right.shape:
        return False
    scale = np.abs(right).max(initial=0.0)
    return bool(np.abs(came - right).max(initial=0.0) <= tolerance * (scale + 1e-3))


# ------------------------------------------------------------------------------------------------
# Judging
# ------------------------------------------------------------------------------------------------


def grade(part: str, points: dict, sandbox: Sandbox, seed: int, seconds: float) -> list[Mark]:
    """The tests of one layer. `points`: by method."""
    small = [draw(part, seed, number) for number in range(LARGE)]
    large = draw(part, seed, LARGE)
    names = {method: list(compute(small[0], method, Way()).values) for method in METHODS}
    tests, recognised = [], {}
    for method in METHODS:
        cases = small
        came, failure = ask_all(sandbox, cases, method, names[method], seconds)
        forward = method.replace("backward", "forward")
        ways = [Way(), *ways_back(part, recognised.get(forward))]
        way, references, right = closest(cases, method, came, ways)
        if method != forward and any(right.values()):
            cases = [*small, large]
            more, failure = ask_all(sandbox, [large], method, names[method], seconds)
            came += more
            way, references, right = closest(cases, method, came, ways)
        worth = points[method] * (1 - UNTOUCHED) / len(names[method])
        if method == forward and came and not failure and not all(right.values()):
            recognised[method] = recognise(part, cases, method, came)
        for name in names[method]:
            title = f"{part} {method}: {name}"
            if failure:
                tests.append(Mark(title, 0, worth, explain_failure(failure, cases, came)))
            elif right[name]:
                said = "right on numbers and sizes drawn for the grading"
                said += f"; judged for what your {forward} computes" * (way != Way())
                tests.append(Mark(title, worth, worth, said))
            else:
                said = describe(cases, came, references, method, name, way)
                if recognised.get(method):
                    said += f" It looks as if {recognised[method][0]}."
                tests.append(Mark(title, 0, worth, said))
        any_right = not failure and any(right.values())
        tests.append(judge_untouched(part, method, points, cases, came, any_right))
    return tests


def ask_all(sandbox, cases, method, names, seconds) -> tuple[list[dict], str]:
    """What the submission gives for each case, up to the first that fails, and how that failed."""
    came = []
    for case in cases:
        try:
            came.append(ask(sandbox, case, method, names, seconds))
        except Failed as failed:
            return came, str(failed)
    return came, ""


def ways_back(part: str, found: tuple[str, Way] | None) -> list[Way]:
    """The functions that a backward pass may be that of, after a forward pass with a mistake."""
    if not found:
        return []
    way = found[1]
    return [way, replace(way, order_back=GATES[part])] if way.order else [way]


def closest(cases, method, came, ways) -> tuple[Way, list[Result], dict[str, bool]]:
    """The way that most outputs agree with, what it gives, and by name whether they agree."""
    tolerance = EXACT if method.startswith("backward") else NEAR
    best = None
    for way in ways:
        references = [compute(case, method, way) for case in cases]
        right = {
            name: len(came) == len(cases)
            and all(
                same(c["o." + name], r.values[name], tolerance)
                for c, r in zip(came, references, strict=True)
            )
            for name in references[0].values
        }
        if best is None or sum(right.values()) > sum(best[2].values()):
            best = way, references, right
    return best


def ask(sandbox: Sandbox, case: Case, method: str, names: list[str], seconds: float) -> dict:
    """What the submission gives, in a new process where the last one ended."""
    if not sandbox.runs:
        sandbox.start()
    is_step = method.endswith("_step")
    inputs = case.step_inputs if is_step else case.inputs
    upstream = case.step_upstream if is_step else case.upstream
    arrays = {"p." + n: a for n, a in case.parameters.items()}
    arrays |= {"i." + n: a for n, a in inputs.items()} | {"u." + n: a for n, a in upstream.items()}
    _, came = sandbox.ask(
        "run_layer",
        seconds,
        arrays,
        **{"class": CLASSES[case.part], "method": method, "sizes": case.sizes[2:]},
        parameters=list(case.parameters),
        inputs=list(inputs),
        upstream=list(upstream),
        outputs=names,
    )
    sent = [f"{kind}.{n}" for kind in ("o", "again") for n in names]
    sent += [f"left.{n}" for n in (*inputs, *case.parameters, *upstream)]
    if any(came.get(n) is None or came[n].dtype != np.float64 for n in sent):
        raise Failed("the process answered with other arrays than it was asked for")
    return came


def explain_failure(failure: str, cases: list[Case], came: list[dict]) -> str:
    """What happened at the first case that nothing came for."""
    if "NotImplementedError" in failure:
        return "not written yet"
    said = failure
    if any(word in failure for word in ("matmul", "broadcast", "shapes", "expected shape")):
        said += ". The shapes do not fit each other: is a transpose missing, or one too many?"
    if len(came) == 2:
        said += ". It came with one row and one step"
    if len(came) == LARGE:
        _, _, D, H = cases[LARGE].sizes
        said += f". It came with {D} inputs and {H} units, after smaller sizes were right"
    return said


def recognise(part, cases, method, came) -> tuple[str, Way] | None:
    """The usual mistake that gives exactly what a forward method gave, if one does."""
    for said, way in FORWARD_MISTAKES[part].items():
        results = [compute(case, method, way).values for case in cases]
        if all(
            same(c["o." + name], array)
            for c, values in zip(came, results, strict=True)
            for name, array in values.items()
        ):
            return said, way
    return None


def describe(cases, all_came, references, method: str, name: str, way: Way) -> str:
    """What is wrong with an array, and where it is one of the usual ones, the kind of mistake."""
    tolerance = EXACT if method.startswith("backward") else NEAR
    came_right = [
        same(c["o." + name], r.values[name], tolerance)
        for c, r in zip(all_came, references, strict=True)
    ]
    number = came_right.index(False)
    case, came, reference = cases[number], all_came[number]["o." + name], references[number]
    right = reference.values[name]
    if came.shape != right.shape:
        said = f"expected shape {right.shape}, got {came.shape}"
        if came.ndim > right.ndim and came.shape[came.ndim - right.ndim :] == right.shape:
            return f"{said}: a sum over rows or steps is missing"
        if came.shape == right.T.shape:
            return f"{said}: it is transposed"
        return said
    if not np.isfinite(came).all():
        return "expected finite numbers, some are not"
    if same(came, right):
        return (
            f"{name} comes near the gradient, as finite differences or float32 do: expected it "
            "from its formula, in float64"
        )
    kind = ""
    if method.startswith("backward"):
        kind = kind_of_mistake(case, method, name, came, reference, way)
    error = np.abs(came - right).max() / max(np.abs(right).max(), 1e-12)
    wrong = np.mean(np.abs(came - right) > 1e-6 * np.abs(right).max() + 1e-9)
    what = f"the loss's gradient for {name[1:]}" if method.startswith("backward") else name
    said = f"expected {what}, shape {right.shape}: the shape is right, {wrong:.0%} of the numbers "
    said += f"are wrong, by up to {error:.1g} times the largest right one."
    said += " For one row and one step it is right." * came_right[2]
    return f"{said} It looks as if {kind}." if kind else said


def kind_of_mistake(case, method, name, came, reference, way) -> str:
    right = reference.values[name]
    steps = reference.by_step.get(name, [])
    if len(steps) > 1 and any(same(came, of_step) for of_step in steps):
        return f"{name} is that of one step alone: the sum over time is forgotten"
    for said, change in BACKWARD_MISTAKES.items():
        other = compute(case, method, Way(**{**vars(way), **change})).values[name]
        if not same(other, right) and same(came, other):
            return said
    if right.ndim == 2 and right.shape[0] == right.shape[1] and same(came, right.T):
        return f"{name} is transposed"
    gates = GATES.get(case.part, "")
    width = len(gates) if name in ("dWx", "dWh", "db") else 0
    if width:
        blocks = np.split(right, width, axis=-1)
        for order in permutations(range(width)):
            if order != tuple(range(width)) and same(
                came, np.concatenate([blocks[k] for k in order], axis=-1)
            ):
                return "the gates' blocks are in another order"
    factor = float((came * right).sum() / max((right * right).sum(), 1e-300))
    if same(came, factor * right) and abs(factor) > 1e-6:
        N, T, *_ = case.sizes
        if np.isclose(factor, -1):
            return "the sign is the other one"
        for count, of in ((N, "rows"), (T, "steps"), (N * T, "rows and steps")):
            if np.isclose(factor, 1 / count):
                return f"there is a mean over {of} where a sum belongs"
        return f"everything is {factor:.3g} times what it should be"
    return ""


def judge_untouched(part, method, points, cases, came, any_right) -> Mark:
    title, worth = f"{part} {method}: inputs unchanged", points[method] * UNTOUCHED
    if not came or not any_right:
        return Mark(title, 0, worth, "judged once an output is right")
    is_step = method.endswith("_step")
    for case, arrays in zip(cases, came, strict=False):
        sent = case.step_inputs if is_step else case.inputs
        sent = {**sent, **case.parameters, **(case.step_upstream if is_step else case.upstream)}
        for name, array in sent.items():
            if not np.array_equal(arrays["left." + name], array):
                said = f"{name} has other numbers after the call: it was changed in place"
                return Mark(title, 0, worth, said)
        for name in (n.removeprefix("o.") for n in arrays if n.startswith("o.")):
            if not same(arrays["again." + name], arrays["o." + name]):
                said = f"a second call on the same numbers gives another {name}"
                return Mark(title, 0, worth, said)
    return Mark(title, worth, worth, "its inputs and parameters are as they were before")
