"""What the tests of the layers hold them to: finite differences, autograd, and known mistakes.

A layer's inputs and gradients go by name here: `{"x": ..., "h0": ..., "Wx": ...}` and
`{"dx": ..., "dh0": ..., "dWx": ...}`. What a sequence gives is a list, h and for the LSTM the last
cell state, and `upstream` has the loss's gradient at each of them.
"""

import inspect
import types

import numpy as np
import torch
from hypothesis import strategies as st

from blg561.checks import grad_check, rel_error

STATES = {
    "RNNLayer": ["prev_h"],
    "LSTMLayer": ["prev_h", "prev_c"],
    "GRULayer": ["prev_h"],
    "MinGRULayer": ["prev_h"],
}


def random_parameters(layer, rng):
    """The layer with all its parameters, biases included, replaced by normal numbers (σ = 0.5)."""
    for name, parameter in layer.parameters.items():
        setattr(layer, name, rng.normal(0, 0.5, parameter.shape).astype(parameter.dtype))
    return layer


def layer_and_rng(layer_class, seed=0):
    """A layer of 3 inputs and 4 units with random parameters, and the generator that drew them."""
    rng = np.random.default_rng(seed)
    return random_parameters(layer_class(3, 4), rng), rng


def step_inputs(layer, rng, N=2):
    names = STATES[type(layer).__name__]
    states = {name: rng.normal(size=(N, layer.out_size)) for name in names}
    return {"x": rng.normal(size=(N, layer.in_size)), **states}


def sequence_inputs(layer, rng, N=2, T=3, scale=1.0):
    names = [name.replace("prev_", "") + "0" for name in STATES[type(layer).__name__]]
    states = {name: rng.normal(size=(N, layer.out_size)) for name in names}
    return {"x": scale * rng.normal(size=(N, T, layer.in_size)), **states}


def sequence_outputs(layer, inputs):
    return [layer.forward(**inputs), *layer.last_state[1:]]


def sequence_upstream(layer, rng, N=2, T=3):
    states = STATES[type(layer).__name__]
    shapes = [(N, T, layer.out_size)] + [(N, layer.out_size)] * (len(states) - 1)
    return [rng.normal(size=shape) for shape in shapes]


def step_gradients(layer, inputs, upstream):
    """Of sum(next_h * upstream[0]), for the LSTM + sum(next_c * upstream[1])."""
    *_, cache = layer.forward_step(**inputs)
    names = ["d" + name for name in [*inputs, *layer.parameters]]
    return dict(zip(names, layer.backward_step(*upstream, cache), strict=True))


def step_differences(layer, inputs, upstream):
    """The same by finite differences."""
    return {
        "d" + name: sum(
            grad_check(lambda _, n=n: layer.forward_step(**inputs)[n], array, df)
            for n, df in enumerate(upstream)
        )
        for name, array in {**inputs, **layer.parameters}.items()
    }


def sequence_gradients(layer, inputs, upstream):
    """Of the sum of sum(output * its upstream)."""
    layer.forward(**inputs)
    return layer.backward(*upstream)


def sequence_differences(layer, inputs, upstream):
    """The same by finite differences."""
    return {
        "d" + name: sum(
            grad_check(lambda _, n=n: sequence_outputs(layer, inputs)[n], array, df)
            for n, df in enumerate(upstream)
        )
        for name, array in {**inputs, **layer.parameters}.items()
    }


def autograd(function, arrays, upstream):
    """Outputs of `function(**tensors)` and the gradients of sum(output * upstream), by PyTorch."""
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    outputs = function(**tensors)
    torch.autograd.backward(outputs, [torch.tensor(df) for df in upstream])
    gradients = {"d" + name: tensor.grad.numpy() for name, tensor in tensors.items()}
    return [output.detach().numpy() for output in outputs], gradients


def unrolled(step, x, h0, c0=None, **parameters):
    """What a sequence gives, from `step(x, *states, **parameters) -> states`, in PyTorch."""
    states = (h0,) if c0 is None else (h0, c0)
    h = []
    for t in range(x.shape[1]):
        states = step(x[:, t], *states, **parameters)
        h.append(states[0])
    return torch.stack(h, dim=1), *states[1:]


def largest_error(ours, reference):
    assert ours.keys() == reference.keys()
    return max(rel_error(ours[name], reference[name]) for name in ours)


def error_to_differences(layer, rng):
    """The largest relative error of any gradient, step and sequence, to finite differences."""
    inputs = step_inputs(layer, rng)
    upstream = [rng.normal(size=(2, layer.out_size)) for _ in STATES[type(layer).__name__]]
    step = largest_error(
        step_gradients(layer, inputs, upstream), step_differences(layer, inputs, upstream)
    )
    inputs, upstream = sequence_inputs(layer, rng), sequence_upstream(layer, rng)
    sequence = largest_error(
        sequence_gradients(layer, inputs, upstream), sequence_differences(layer, inputs, upstream)
    )
    return max(step, sequence)


def step_error_to_autograd(layer, rng, step):
    """The largest relative error of a step and its gradients to those of `step` in PyTorch."""
    inputs = step_inputs(layer, rng)
    upstream = [rng.normal(size=(2, layer.out_size)) for _ in STATES[type(layer).__name__]]
    values, gradients = autograd(step, {**inputs, **layer.parameters}, upstream)
    *ours, _ = layer.forward_step(**inputs)
    errors = [rel_error(*pair) for pair in zip(ours, values, strict=True)]
    return max(*errors, largest_error(step_gradients(layer, inputs, upstream), gradients))


def sequence_error_to_autograd(layer, rng, sequence):
    """The same for a sequence; `sequence(**inputs, **parameters)` returns (h,), or (h, last c)."""
    inputs, upstream = sequence_inputs(layer, rng, T=5), sequence_upstream(layer, rng, T=5)
    values, gradients = autograd(sequence, {**inputs, **layer.parameters}, upstream)
    ours = sequence_outputs(layer, inputs)
    errors = [rel_error(*pair) for pair in zip(ours, values, strict=True)]
    return max(*errors, largest_error(layer.backward(*upstream), gradients))


def with_mistake(layer_class, equation, right, wrong):
    """A copy of the layer in which `right` reads `wrong` in every line of an equation."""
    lines = inspect.getsource(inspect.getmodule(layer_class)).splitlines()
    its_lines = [n for n, line in enumerate(lines) if line.endswith(f"# ({equation})")]
    assert its_lines, f"no line of code has the number {equation}"
    for n in its_lines:
        assert right in lines[n], f"{right!r} is not in {lines[n]!r}"
        lines[n] = lines[n].replace(right, wrong)
    module = types.ModuleType("layers_with_a_mistake")
    exec(compile("\n".join(lines), module.__name__, "exec"), vars(module))
    return vars(module)[layer_class.__name__]


# What hypothesis draws for a layer and a sequence: sizes, how large the inputs are, a seed.
any_sequence = st.fixed_dictionaries(
    {
        "N": st.integers(1, 4),
        "T": st.integers(1, 6),
        "D": st.integers(1, 4),
        "H": st.integers(1, 5),
        "scale": st.sampled_from([1e-3, 0.3, 1.0, 30.0, 1e4]),
        "seed": st.integers(0, 2**32 - 1),
    }
)


def assert_sequence_agrees(layer_class, step, N, T, D, H, scale, seed):
    """A layer of any size agrees with autograd to 1e-10 of each array's largest entry."""
    rng = np.random.default_rng(seed)
    layer = random_parameters(layer_class(D, H), rng)
    inputs = sequence_inputs(layer, rng, N, T, scale)
    upstream = sequence_upstream(layer, rng, N, T)
    arrays = {**inputs, **layer.parameters}
    values, gradients = autograd(lambda **given: unrolled(step, **given), arrays, upstream)
    for output, value in zip(sequence_outputs(layer, inputs), values, strict=True):
        atol = 1e-10 * max(1.0, np.abs(value).max())
        np.testing.assert_allclose(output, value, rtol=0, atol=atol)
    ours = layer.backward(*upstream)
    assert ours.keys() == gradients.keys()
    for name, reference in gradients.items():
        atol = 1e-10 * max(1.0, np.abs(reference).max())
        np.testing.assert_allclose(ours[name], reference, rtol=0, atol=atol, err_msg=name)
