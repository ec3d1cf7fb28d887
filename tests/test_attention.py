"""Attention against finite differences, autograd, PyTorch's own attention, and a loop."""

import copy
import inspect
import types
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_reference import autograd, largest_error
from torch.nn import functional as F

from blg561.checks import grad_check, rel_error
from blg561.layer import AdditiveAttention, DotProductAttention, attention

KINDS = ["dot", "scaled", "additive"]
all_kinds = pytest.mark.parametrize("kind", KINDS)


def build(kind, Q, K, A, rng, dtype=np.float64):
    if kind == "additive":
        return AdditiveAttention(Q, K, A, rng, dtype)
    return DotProductAttention(scale=kind == "scaled")


def example(kind, N=2, T=3, S=4, Q=3, K=5, V=2, A=4, seed=0, dtype=np.float64):
    """A layer, its inputs by name, a mask that closes some positions, an upstream gradient."""
    rng = np.random.default_rng(seed)
    K = K if kind == "additive" else Q
    layer = build(kind, Q, K, A, rng, dtype)
    shapes = {"query": (N, T, Q), "keys": (N, S, K), "values": (N, S, V)}
    inputs = {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    mask = rng.random((N, S)) < 0.6
    mask[np.arange(N), rng.integers(0, S, N)] = True
    return layer, inputs, mask, rng.normal(size=(N, T, V)).astype(dtype)


def in_torch(kind, query, keys, values, mask, Wq=None, Wk=None, v=None):
    """The definitions, in PyTorch; the dot product is PyTorch's own attention."""
    mask = torch.tensor(mask)[:, None]
    if kind == "additive":
        scores = torch.tanh((query @ Wq)[:, :, None] + (keys @ Wk)[:, None]) @ v
        return (scores.masked_fill(~mask, -torch.inf).softmax(-1) @ values,)
    scale = 1.0 if kind == "dot" else None
    return (F.scaled_dot_product_attention(query, keys, values, mask, scale=scale),)


def error_to_differences(layer, inputs, mask, dcontext):
    layer.forward(**inputs, mask=mask)
    ours = layer.backward(dcontext)
    arrays = {**inputs, **layer.parameters}
    differences = {
        "d" + name: grad_check(lambda _: layer.forward(**inputs, mask=mask), array, dcontext)
        for name, array in arrays.items()
    }
    return largest_error(ours, differences)


@all_kinds
def test_every_gradient_is_that_of_finite_differences(kind):
    assert error_to_differences(*example(kind)) < 1e-6


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    sizes=st.fixed_dictionaries({name: st.integers(1, 5) for name in "NTSQKVA"}),
    seed=st.integers(0, 2**32 - 1),
)
def test_values_and_gradients_are_those_of_pytorch(kind, sizes, seed):
    layer, inputs, mask, dcontext = example(kind, **sizes, seed=seed)
    (context,), gradients = autograd(
        lambda **arrays: in_torch(kind, mask=mask, **arrays),
        {**inputs, **layer.parameters},
        [dcontext],
    )
    np.testing.assert_allclose(layer.forward(**inputs, mask=mask), context, rtol=0, atol=1e-12)
    ours = layer.backward(dcontext)
    assert ours.keys() == gradients.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(ours[name], gradient, rtol=0, atol=1e-11, err_msg=name)


@all_kinds
def test_a_position_at_a_time_gives_the_same(kind):
    """The definition for one query, written as a loop over what it may read."""
    layer, inputs, mask, _ = example(kind)
    query, keys, values = inputs.values()
    context = layer.forward(**inputs, mask=mask)
    for n, t in np.ndindex(query.shape[:2]):
        q = query[n, t]
        scores = {}
        for s in np.flatnonzero(mask[n]):
            k = keys[n, s]
            if kind == "additive":
                scores[s] = layer.v @ np.tanh(q @ layer.Wq + k @ layer.Wk)
            else:
                scores[s] = q @ k / (np.sqrt(len(q)) if kind == "scaled" else 1)
        total = sum(np.exp(score) for score in scores.values())
        expected = sum(np.exp(score) / total * values[n, s] for s, score in scores.items())
        np.testing.assert_allclose(context[n, t], expected, rtol=1e-12)


@all_kinds
def test_a_masked_position_has_no_weight_no_influence_and_no_gradient(kind):
    layer, inputs, mask, dcontext = example(kind)
    assert not mask.all()
    context = layer.forward(**inputs, mask=mask)
    closed = ~np.broadcast_to(mask[:, None], layer.weights.shape)
    assert (layer.weights[closed] == 0).all()
    np.testing.assert_allclose(layer.weights.sum(-1), 1, rtol=1e-12)
    gradients = layer.backward(dcontext)
    assert (gradients["dkeys"][~mask] == 0).all()
    assert (gradients["dvalues"][~mask] == 0).all()
    inputs["keys"][~mask] = 100.0
    inputs["values"][~mask] = -100.0
    np.testing.assert_array_equal(layer.forward(**inputs, mask=mask), context)


@all_kinds
def test_no_mask_is_a_mask_that_closes_nothing(kind):
    layer, inputs, mask, _ = example(kind)
    everywhere = layer.forward(**inputs, mask=np.ones_like(mask))
    np.testing.assert_array_equal(layer.forward(**inputs), everywhere)


@all_kinds
def test_a_mask_for_each_query_is_the_mask_of_a_query_alone(kind):
    layer, inputs, _, dcontext = example(kind)
    mask = np.tri(3, 4, 1, dtype=bool)[None].repeat(2, axis=0)
    mask[1, 2, :2] = False
    context = layer.forward(**inputs, mask=mask)
    gradients = layer.backward(dcontext)
    dkeys = 0
    for t in range(3):
        alone = {**inputs, "query": inputs["query"][:, t : t + 1]}
        expected = layer.forward(**alone, mask=mask[:, t])
        np.testing.assert_allclose(context[:, t : t + 1], expected, rtol=1e-12)
        dkeys = dkeys + layer.backward(dcontext[:, t : t + 1])["dkeys"]
    np.testing.assert_allclose(gradients["dkeys"], dkeys, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_scores_are_right_and_quiet(dtype):
    layer = DotProductAttention(scale=False)
    query = np.ones((1, 1, 1), dtype)
    keys = np.array([[[1e4], [-1e4], [1e4], [1e5]]], dtype)
    values = np.array([[[1.0], [2.0], [4.0], [8.0]]], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        context = layer.forward(query, keys, values, np.array([[True, True, True, False]]))
        gradients = layer.backward(np.ones_like(context))
        additive = AdditiveAttention(1, 1, 1, 0, dtype)
        additive.v = np.array([1e4], dtype)
        assert np.isfinite(additive.forward(query, keys, values)).all()
        assert all(np.isfinite(array).all() for array in additive.backward(context).values())
    assert context.item() == 2.5
    np.testing.assert_array_equal(layer.weights, [[[0.5, 0, 0.5, 0]]])
    np.testing.assert_array_equal(gradients["dvalues"][0, :, 0], [0.5, 0, 0.5, 0])


@all_kinds
def test_float32_stays_float32(kind):
    layer, inputs, mask, dcontext = example(kind, dtype=np.float32)
    assert layer.forward(**inputs, mask=mask).dtype == np.float32
    assert layer.weights.dtype == np.float32
    gradients = layer.backward(dcontext)
    assert {array.dtype for array in gradients.values()} == {np.dtype(np.float32)}


@all_kinds
def test_nothing_given_is_changed_and_what_is_changed_later_does_not_matter(kind):
    layer, inputs, mask, dcontext = example(kind)
    before = copy.deepcopy((inputs, mask, dcontext, layer.parameters))
    context = layer.forward(**inputs, mask=mask)
    expected = copy.deepcopy(layer.backward(dcontext))
    for array in (*inputs.values(), *layer.parameters.values()):
        assert not np.shares_memory(context, array)
    after = (inputs, mask, dcontext, layer.parameters)
    for old, new in zip(before, after, strict=True):
        pairs = [(old[k], new[k]) for k in old] if isinstance(old, dict) else [(old, new)]
        assert all(np.array_equal(*pair) for pair in pairs)
    layer.weights[:] = 9
    for array in inputs.values():
        array[:] = 9
    again = layer.backward(dcontext)
    assert all(np.array_equal(expected[name], again[name]) for name in expected)


def test_the_seed_decides_the_parameters():
    first, same, other = (AdditiveAttention(2, 3, 4, rng=seed) for seed in (1, 1, 2))
    for name, parameter in first.parameters.items():
        np.testing.assert_array_equal(parameter, same.parameters[name])
        assert not np.array_equal(parameter, other.parameters[name])
        assert parameter.any() and np.abs(parameter).max() <= 0.5
    assert repr(first) == "AdditiveAttention(2, 3, 4)"
    assert repr(DotProductAttention()) == "DotProductAttention(scale=True)"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"query": np.ones((2, 3))}, ValueError, "query: expected shape"),
        ({"query": [[[1.0]]]}, TypeError, "query: expected a NumPy array"),
        ({"keys": np.ones((3, 4, 5))}, ValueError, "keys: expected shape .N = 2, S ≥ 1, K = 5"),
        ({"keys": np.ones((2, 4, 9))}, ValueError, "keys: expected shape .N = 2, S ≥ 1, K = 5"),
        ({"keys": np.ones((2, 0, 5))}, ValueError, "keys: expected shape"),
        ({"values": np.ones((2, 5, 2))}, ValueError, "values: expected shape .N = 2, S = 4, V ≥ 1"),
        ({"mask": np.ones((2, 4))}, TypeError, "mask: expected a NumPy array of booleans"),
        ({"mask": [[True] * 4] * 2}, TypeError, "mask: .* got list"),
        ({"mask": np.ones((2, 3), bool)}, ValueError, "mask: expected shape .N = 2, S = 4"),
        ({"mask": np.ones((2, 2, 4), bool)}, ValueError, r"or \(N = 2, T = 3, S = 4\), got"),
        ({"mask": np.arange(24).reshape(2, 3, 4) < 20}, ValueError, "mask: sequence 1 has no"),
        ({"mask": np.arange(8).reshape(2, 4) < 4}, ValueError, "mask: sequence 1 has no position"),
    ],
)
def test_what_does_not_fit_is_named(change, error, message):
    layer, inputs, mask, _ = example("additive")
    with pytest.raises(error, match=message):
        layer.forward(**{**inputs, "mask": mask, **change})


def test_a_dot_product_needs_keys_of_the_size_of_queries():
    layer, inputs, *_ = example("dot")
    inputs["keys"] = np.ones((2, 4, 7))
    with pytest.raises(ValueError, match=r"keys: expected shape .N = 2, S ≥ 1, K = 3"):
        layer.forward(**inputs)


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_a_size_is_at_least_1(sizes):
    with pytest.raises(ValueError, match="_size: expected at least 1, got 0"):
        AdditiveAttention(*sizes)


def test_backward_needs_a_forward_and_its_shape():
    layer, inputs, _, dcontext = example("dot")
    with pytest.raises(RuntimeError, match="backward needs a call of forward"):
        layer.backward(dcontext)
    layer.forward(**inputs)
    with pytest.raises(ValueError, match="dcontext: expected shape"):
        layer.backward(dcontext[:, :2])


MISTAKES = [
    ("ATT.1", "query @ Wq", "query @ Wq * 2"),
    ("ATT.3", "np.tanh", "np.sin"),
    ("ATT.5", "factor *", "factor**2 *"),
    ("ATT.7", "e.sum", "e.max"),
    ("ATT.9", "weights.swapaxes(1, 2)", "np.sqrt(weights).swapaxes(1, 2)"),
    ("ATT.10", "dcontext @", "-dcontext @"),
    ("ATT.11", "(weights * dweights)", "(dweights)"),
    ("ATT.12", " - mean", ""),
    ("ATT.13", "factor *", ""),
    ("ATT.14", "factor *", ""),
    ("ATT.15", "rows(u)", "rows(u**2)"),
    ("ATT.16", "1 - u**2", "1 - u"),
    ("ATT.17", "axis=2", "axis=2) / 2 + da.mean(axis=2"),
    ("ATT.18", "da.sum", "-da.sum"),
    ("ATT.19", "dq @ Wq.T", "dq @ abs(Wq.T)"),
    ("ATT.20", "dk @ Wk.T", "dk @ abs(Wk.T)"),
    ("ATT.21", "rows(query)", "rows(query + 1)"),
    ("ATT.22", "rows(keys)", "rows(keys + 1)"),
]


@pytest.mark.parametrize(("equation", "right", "wrong"), MISTAKES)
def test_a_mistake_in_an_equation_is_found(equation, right, wrong):
    """One line wrong: the results are no longer PyTorch's, or the gradients not the differences."""
    lines = inspect.getsource(attention).splitlines()
    (n,) = [n for n, line in enumerate(lines) if line.endswith(f"# ({equation})")]
    assert right in lines[n]
    lines[n] = lines[n].replace(right, wrong)
    module = types.ModuleType("attention_with_a_mistake")
    exec(compile("\n".join(lines), module.__name__, "exec"), vars(module))
    found = False
    for kind in ("scaled", "additive"):
        layer, inputs, mask, dcontext = example(kind)
        wrong_layer = (
            module.AdditiveAttention(3, 5, 4, np.random.default_rng(0))
            if kind == "additive"
            else module.DotProductAttention()
        )
        expected = layer.forward(**inputs, mask=mask)
        forward = rel_error(wrong_layer.forward(**inputs, mask=mask), expected)
        found |= forward > 1e-6 or error_to_differences(wrong_layer, inputs, mask, dcontext) > 1e-6
    assert found
