"""What all recurrent layers promise: one definition, dtypes, nothing shared, clear errors."""

import copy
import inspect
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_reference import (
    STATES,
    layer_and_rng,
    random_parameters,
    sequence_inputs,
    sequence_upstream,
    step_inputs,
)

from blg561.layer import GRULayer, LSTMLayer, MinGRULayer, RNNLayer, recurrent_layers
from blg561.layer.recurrent_layers import sigmoid

LAYERS = [RNNLayer, LSTMLayer, GRULayer, MinGRULayer]
all_layers = pytest.mark.parametrize("layer_class", LAYERS)


def weights(layer_class):
    """The names of its parameters that are no biases."""
    return [name for name in layer_class(1, 1).parameters if name[0] != "b"]


def by_steps(layer, inputs, upstream):
    """h, the last states and all gradients of a sequence from the two step methods alone."""
    x, *states = inputs.values()
    dh, *dstates = upstream
    T = x.shape[1]
    h, caches = [], []
    for t in range(T):
        *states, cache = layer.forward_step(x[:, t], *states)
        h.append(states[0])
        caches.append(cache)
    dx = [None] * T
    dstates = [np.zeros_like(states[0]), *dstates]
    sums = [0] * len(layer.parameters)
    for t in reversed(range(T)):
        dstates[0] = dstates[0] + dh[:, t]
        dx[t], *gradients = layer.backward_step(*dstates, caches[t])
        dstates = gradients[: len(states)]
        sums = [total + part for total, part in zip(sums, gradients[len(states) :], strict=True)]
    names = ["d" + name for name in [*inputs, *layer.parameters]]
    gradients = dict(zip(names, [np.stack(dx, axis=1), *dstates, *sums], strict=True))
    return np.stack(h, axis=1), states, gradients


@settings(max_examples=60)
@given(
    layer_class=st.sampled_from(LAYERS),
    sizes=st.tuples(*[st.integers(1, 5)] * 4),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_sequence_is_its_steps(layer_class, sizes, dtype, seed):
    N, T, D, H = sizes
    rng = np.random.default_rng(seed)
    layer = random_parameters(layer_class(D, H, dtype=dtype), rng)
    inputs = {
        name: array.astype(dtype) for name, array in sequence_inputs(layer, rng, N, T).items()
    }
    upstream = [array.astype(dtype) for array in sequence_upstream(layer, rng, N, T)]
    h, states, gradients = by_steps(layer, inputs, upstream)
    tolerance = {"rtol": 0, "atol": 1000 * np.finfo(dtype).eps}
    np.testing.assert_allclose(layer.forward(**inputs), h, **tolerance)
    for ours, state in zip(layer.last_state, states, strict=True):
        np.testing.assert_allclose(ours, state, **tolerance)
        assert ours.dtype == dtype
    ours = layer.backward(*upstream)
    assert ours.keys() == gradients.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(ours[name], gradient, **tolerance, err_msg=name)
        assert ours[name].dtype == dtype
        assert ours[name].shape == gradient.shape


@settings(max_examples=40)
@given(
    layer_class=st.sampled_from(LAYERS),
    T=st.integers(2, 7),
    data=st.data(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_sequence_is_its_two_parts(layer_class, T, data, seed):
    """The second starts from the last state of the first, whose gradient comes from the second."""
    layer, rng = layer_and_rng(layer_class, seed)
    cut = data.draw(st.integers(1, T - 1))
    inputs, (dh, *dstates) = sequence_inputs(layer, rng, 2, T), sequence_upstream(layer, rng, 2, T)
    x, *states = inputs.values()
    h = layer.forward(x, *states)
    whole, end = layer.backward(dh, *dstates), layer.last_state
    first = [layer.forward(x[:, :cut], *states)]
    between = layer.last_state
    second = layer.forward(x[:, cut:], *between)
    np.testing.assert_allclose(np.concatenate([*first, second], axis=1), h, rtol=0, atol=1e-12)
    for ours, expected in zip(layer.last_state, end, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)
    later = layer.backward(dh[:, cut:], *dstates)
    dbetween, *dstates = [later["d" + name] for name in inputs if name != "x"]
    dh = dh[:, :cut].copy()
    dh[:, -1] += dbetween
    layer.forward(x[:, :cut], *states)
    earlier = layer.backward(dh, *dstates)
    ours = {name: earlier[name] + later[name] for name in ["d" + name for name in layer.parameters]}
    ours["dx"] = np.concatenate([earlier["dx"], later["dx"]], axis=1)
    ours |= {"d" + name: earlier["d" + name] for name in inputs if name != "x"}
    assert ours.keys() == whole.keys()
    for name, gradient in ours.items():
        np.testing.assert_allclose(gradient, whole[name], rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("layer_class", "wide"),
    [(kind, name) for kind in LAYERS for name in ("x", "h0", *kind(1, 1).parameters)],
)
def test_one_float64_among_float32_makes_the_result_float64(layer_class, wide):
    layer = layer_class(3, 4, dtype=np.float32)
    arrays = {"x": np.ones((2, 5, 3), np.float32), "h0": np.ones((2, 4), np.float32)}
    assert layer.forward(**arrays).dtype == np.float32
    if wide in arrays:
        arrays[wide] = arrays[wide].astype(np.float64)
    else:
        setattr(layer, wide, getattr(layer, wide).astype(np.float64))
    assert layer.forward(**arrays).dtype == np.float64
    gradients = layer.backward(np.ones((2, 5, 4), np.float32))
    assert {gradient.dtype for gradient in gradients.values()} == {np.dtype(np.float64)}


@all_layers
def test_no_call_changes_its_arguments(layer_class):
    layer, rng = layer_and_rng(layer_class, 0)
    sequence, step = sequence_inputs(layer, rng), step_inputs(layer, rng)
    upstream = sequence_upstream(layer, rng)
    dstates = [rng.normal(size=(2, 4)) for _ in STATES[layer_class.__name__]]
    parameters = layer.parameters.values()
    for array in [*sequence.values(), *step.values(), *parameters, *upstream, *dstates]:
        array.flags.writeable = False
    layer.forward(**sequence)
    layer.backward(*upstream)
    *_, cache = layer.forward_step(**step)
    layer.backward_step(*dstates, cache)


@all_layers
@pytest.mark.parametrize("N", [1, 2])  # with one row, time first and batch first are one layout
def test_nothing_the_caller_does_to_its_arrays_changes_a_later_gradient(layer_class, N):
    layer, rng = layer_and_rng(layer_class, 0)
    inputs, upstream = sequence_inputs(layer, rng, N), sequence_upstream(layer, rng, N)
    h = layer.forward(**inputs)
    first = copy.deepcopy(layer.backward(*upstream))
    for array in [h, *layer.last_state, *inputs.values(), *layer.grad.values()]:
        array.fill(np.nan)
    again = layer.backward(*upstream)
    for name, gradient in first.items():
        np.testing.assert_array_equal(again[name], gradient, err_msg=name)


@all_layers
def test_a_cache_outlives_later_steps_and_changes_to_the_arrays(layer_class):
    layer, rng = layer_and_rng(layer_class, 0)
    inputs = step_inputs(layer, rng)
    dstates = [rng.normal(size=(2, 4)) for _ in STATES[layer_class.__name__]]
    *states, cache = layer.forward_step(**inputs)
    expected = layer.backward_step(*dstates, cache)
    for array in [*states, *inputs.values()]:
        array.fill(np.nan)
    layer.forward_step(**step_inputs(layer, rng))
    for name, parameter in layer.parameters.items():
        setattr(layer, name, np.zeros_like(parameter))
    for ours, gradient in zip(layer.backward_step(*dstates, cache), expected, strict=True):
        np.testing.assert_array_equal(ours, gradient)


@all_layers
def test_a_last_state_outlives_later_calls(layer_class):
    layer, rng = layer_and_rng(layer_class, 0)
    layer.forward(**sequence_inputs(layer, rng))
    kept = layer.last_state
    before = copy.deepcopy(kept)
    layer.forward(**sequence_inputs(layer, rng))
    for ours, expected in zip(kept, before, strict=True):
        np.testing.assert_array_equal(ours, expected)


@all_layers
def test_backward_is_of_the_last_forward(layer_class):
    layer, rng = layer_and_rng(layer_class, 0)
    first, second = (sequence_inputs(layer, rng, N=2, T=5) for _ in range(2))
    dh = rng.normal(size=(2, 5, 4))
    layer.forward(**second)
    expected = layer.backward(dh)
    layer.forward(**first)
    layer.forward(**second)
    assert layer.backward(dh) is layer.grad
    for name, gradient in expected.items():
        np.testing.assert_array_equal(layer.grad[name], gradient, err_msg=name)


@all_layers
def test_a_replaced_parameter_is_used_by_the_next_call(layer_class):
    layer, rng = layer_and_rng(layer_class, 0)
    inputs = sequence_inputs(layer, rng)
    before = layer.forward(**inputs)
    bias = next(name for name in layer.parameters if name[0] == "b")
    setattr(layer, bias, getattr(layer, bias) + 1)
    assert np.abs(layer.forward(**inputs) - before).min() > 1e-6
    setattr(layer, bias, getattr(layer, bias) - 1)
    np.testing.assert_allclose(layer.forward(**inputs), before, rtol=1e-12)


@all_layers
def test_the_seed_decides_the_parameters(layer_class):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (layer_class(3, 4, rng=seed).parameters for seed in (1, 1, 2))
    generator = layer_class(3, 4, rng=np.random.default_rng(1)).parameters
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_array_equal(first[name], generator[name])
    unseeded, another = layer_class(3, 4).parameters, layer_class(3, 4).parameters
    for name in weights(layer_class):
        assert not np.array_equal(first[name], other[name])
        assert not np.array_equal(unseeded[name], another[name])
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@all_layers
def test_weights_start_uniform_within_one_over_root_h(layer_class):
    layer = layer_class(100, 100, rng=0)
    for name in weights(layer_class):
        W = getattr(layer, name)
        assert np.abs(W).max() <= 0.1
        assert np.std(W) == pytest.approx(0.1 / np.sqrt(3), rel=0.02)


@all_layers
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_is_used_as_an_array(layer_class):
    layer, rng = layer_and_rng(layer_class, 0)
    inputs = step_inputs(layer, rng, N=4)
    expected, *_ = layer.forward_step(**inputs)
    matrices = {name: np.asmatrix(array) for name, array in inputs.items()}
    np.testing.assert_array_equal(layer.forward_step(**matrices)[0], expected)


# Saturation


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_right_and_quiet_far_out(dtype):
    a = np.array([-1e4, -800, -30, 0, 30, 800, 1e4], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = sigmoid(a)
    assert ours.dtype == dtype
    expected = torch.sigmoid(torch.tensor(a, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(ours, expected, rtol=4 * np.finfo(dtype).eps, atol=1e-38)


@all_layers
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_inputs_saturate_without_a_warning(layer_class, dtype):
    layer = layer_class(1, 4, rng=0, dtype=dtype)
    x = np.array([[[1e4], [-1e4]], [[-1e4], [1e4]]], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        h = layer.forward(x, np.zeros((2, 4), dtype))
        gradients = layer.backward(np.ones_like(h))
    assert np.isfinite(h).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


# Errors

X, H0, DH = np.zeros((2, 5, 3)), np.zeros((2, 4)), np.zeros((2, 5, 4))
NOT_FLOATS = [
    (X.astype(int), "int64"),
    (X.astype(complex), "complex128"),
    (X.astype(object), "object"),
    (X.astype(str), "<U32"),
    (X > 0, "bool"),
    (X.tolist(), "list"),
    (None, "NoneType"),
]


@all_layers
@pytest.mark.parametrize(("x", "came"), NOT_FLOATS)
def test_what_is_no_array_of_floats_is_a_type_error(layer_class, x, came):
    with pytest.raises(TypeError, match=rf"^x: expected .*floats, got .*{re.escape(came)}"):
        layer_class(3, 4).forward(x, H0)


@all_layers
@pytest.mark.parametrize(
    ("x", "h0", "message"),
    [
        (X[0], H0, "x: expected shape (N ≥ 1, T ≥ 1, D = 3), got (5, 3)"),
        (X[:, :0], H0, "x: expected shape (N ≥ 1, T ≥ 1, D = 3), got (2, 0, 3)"),
        (X[:0], H0[:0], "x: expected shape (N ≥ 1, T ≥ 1, D = 3), got (0, 5, 3)"),
        (X[:, :, :1], H0, "x: expected shape (N ≥ 1, T ≥ 1, D = 3), got (2, 5, 1)"),
        (X, H0[0], "h0: expected shape (N = 2, H = 4), got (4,)"),
        (X, H0[:1], "h0: expected shape (N = 2, H = 4), got (1, 4)"),
        (X, H0[:, :1], "h0: expected shape (N = 2, H = 4), got (2, 1)"),
        (X, H0[None], "h0: expected shape (N = 2, H = 4), got (1, 2, 4)"),
    ],
)
def test_forward_names_a_wrong_shape(layer_class, x, h0, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layer_class(3, 4).forward(x, h0)


@all_layers
@pytest.mark.parametrize("dh", [DH[:, :4], DH[:1], DH[:, :, :1], DH[0], DH.swapaxes(0, 1)])
def test_backward_names_a_wrong_shape(layer_class, dh):
    layer = layer_class(3, 4)
    layer.forward(X, H0)
    message = f"dh: expected shape (N = 2, T = 5, H = 4), got {dh.shape}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layer.backward(dh)


@all_layers
def test_backward_before_forward_says_so(layer_class):
    with pytest.raises(
        RuntimeError, match=f"{layer_class.__name__}.backward needs a call of forward"
    ):
        layer_class(3, 4).backward(DH)


@all_layers
def test_the_step_methods_name_a_wrong_argument(layer_class):
    layer = layer_class(3, 4)
    states = dict.fromkeys(STATES[layer_class.__name__], H0)
    arguments = {"x": X[:, 0], **states}
    for name, array in arguments.items():
        with pytest.raises(ValueError, match=rf"^{name}: expected shape \(N"):
            layer.forward_step(**(arguments | {name: array[:, :1]}))
        with pytest.raises(
            TypeError, match=f"^{name}: expected an array of floats, got dtype int64"
        ):
            layer.forward_step(**(arguments | {name: array.astype(int)}))
    for name in states:
        with pytest.raises(ValueError, match=rf"^{name}: expected shape \(N = 2, H = 4\)"):
            layer.forward_step(**(arguments | {name: H0[:1]}))
    *_, cache = layer.forward_step(**arguments)
    for n, name in enumerate(states):
        gradients = [H0] * len(states)
        gradients[n] = H0[:1]
        with pytest.raises(ValueError, match=f"^{name.replace('prev', 'dnext')}: expected shape"):
            layer.backward_step(*gradients, cache)
    for wrong in (None, H0, cache[1:]):
        with pytest.raises(
            TypeError, match=f"^cache: expected the one that {layer_class.__name__}"
        ):
            layer.backward_step(*[H0] * len(states), wrong)


@all_layers
def test_a_parameter_is_checked_when_it_is_set(layer_class):
    layer = layer_class(3, 4)
    for name, parameter in layer.parameters.items():
        with pytest.raises(ValueError, match=rf"^{name}: expected shape .* got \(1,\)"):
            setattr(layer, name, np.zeros(1))
        with pytest.raises(
            TypeError, match=f"^{name}: expected a NumPy array of floats, got int 0"
        ):
            setattr(layer, name, 0)
        assert getattr(layer, name) is parameter


@all_layers
@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((0, 4), ValueError, "in_size: expected at least 1, got 0"),
        ((3, -1), ValueError, "out_size: expected at least 1, got -1"),
        ((3.0, 4), TypeError, "in_size: expected an integer, got float 3.0"),
        ((3, "4"), TypeError, "out_size: expected an integer, got str '4'"),
    ],
)
def test_sizes_are_positive_integers(layer_class, sizes, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        layer_class(*sizes)


@all_layers
def test_parameters_are_floats(layer_class):
    with pytest.raises(TypeError, match="dtype: expected a float type"):
        layer_class(3, 4, dtype=int)


# The module


def test_numbers_of_equations_are_without_gaps():
    source = inspect.getsource(recurrent_layers)
    for name in ("RNN", "LSTM", "GRU"):
        numbers = {int(n) for n in re.findall(rf"  # \({name}\.(\d+)\)$", source, re.MULTILINE)}
        assert numbers == set(range(1, max(numbers) + 1))


def test_the_layers_do_not_import_torch():
    code = "import sys, blg561.layer, blg561.checks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
