"""What the layers have in common: parameters, gradients, and checks of what they are given."""

import math
import operator

import numpy as np


class Layer:
    """Named parameters, the gradients of the last backward pass, and clear errors.

    The parameters are plain attributes. Replace one whenever you like (`layer.Wx = array`), with
    any float dtype: it is checked at once, and the next call uses it. The layer keeps your array,
    not a copy, and a cache refers to the parameters it was made with, so change none in place
    between a forward pass and its backward pass.

    in_size, out_size: D and H, integers of at least 1. A layer without parameters has none, and
        takes inputs of any size.
    rng: an integer seed or a `numpy.random.Generator`. The same seed gives the same parameters and
        None other ones each time. NumPy's global state is never used.
    dtype: of the parameters. A result has the dtype that its inputs and the parameters give: for
        float32 results, both have to be float32.
    shapes: of each parameter the names of its axes. D is the number of input features, H the number
        of hidden units, and "4H" four times that.

    Weights start uniform in ±1/√H, as in PyTorch's recurrent layers, and biases at 0.

    Raises TypeError for what is not an array of floats (or a size that is no integer) and
    ValueError for a wrong shape. Both say what was expected and what came.
    """

    def __init__(self, in_size=None, out_size=None, rng=None, dtype=np.float64, **shapes):
        self._sizes, self._shapes = {}, shapes
        self.grad = {}
        self.cache = None
        if shapes:
            self._start(in_size, out_size, rng, dtype)

    def _start(self, in_size, out_size, rng, dtype):
        """The sizes and the first parameters."""
        D = self.in_size = positive_size("in_size", in_size)
        H = self.out_size = positive_size("out_size", out_size)
        self.draw({"D": D, "H": H, "2H": 2 * H, "4H": 4 * H}, 1 / np.sqrt(H), rng, dtype)

    def draw(self, sizes, bound, rng, dtype):
        """The first parameters: biases, whose names begin with b, are 0, the others in ±bound.

        sizes: of the axes, by the names that the shapes use.
        """
        if not np.issubdtype(dtype, np.floating):
            raise TypeError(f"dtype: expected a float type such as numpy.float32, got {dtype!r}")
        self._sizes = sizes
        rng = np.random.default_rng(rng)
        for name, axes in self._shapes.items():
            shape = [sizes[axis] for axis in axes.split()]
            start = np.zeros(shape) if name[0] == "b" else rng.uniform(-bound, bound, shape)
            setattr(self, name, start.astype(dtype))

    @property
    def parameters(self):
        """The parameters by name, for an optimiser: `p -= step * layer.grad["d" + name]`."""
        return {name: getattr(self, name) for name in self._shapes}

    def __setattr__(self, name, value):
        if name in vars(self).get("_shapes", ()):
            value = self.check(name, value, self._shapes[name])
        super().__setattr__(name, value)

    def __repr__(self):
        sizes = f"{self.in_size}, {self.out_size}" if self._shapes else ""
        return f"{type(self).__name__}({sizes})"

    def check(self, name, array, axes, **sizes):
        """`array` itself if it holds floats and has these axes, or an error that calls it `name`.

        axes: the axes' names, "N T D". The sizes of D, H, 2H and 4H are the layer's own, others can
            be given (`N=32`), and an axis of no known size needs at least one entry.
        """
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected a NumPy array of floats, got {_typename(array)}")
        if not np.issubdtype(array.dtype, np.floating):
            raise TypeError(f"{name}: expected an array of floats, got dtype {array.dtype}")
        known = {**self._sizes, **sizes}
        axes = axes.split()
        expected = [known.get(axis) for axis in axes]
        fits = array.ndim == len(axes) and all(
            came == size if size else came >= 1
            for came, size in zip(array.shape, expected, strict=True)
        )
        if not fits:
            wanted = ", ".join(
                f"{axis} = {size}" if size else f"{axis} ≥ 1"
                for axis, size in zip(axes, expected, strict=True)
            )
            raise ValueError(f"{name}: expected shape ({wanted}), got {array.shape}")
        return np.asarray(array)  # a matrix or a masked array would give `*` another meaning

    def check_cache(self, cache, length):
        """`cache` itself if it can be what this layer's `forward_step` returned."""
        if not isinstance(cache, tuple) or len(cache) != length:
            raise TypeError(
                f"cache: expected the one that {type(self).__name__}.forward_step returned, "
                f"got {_typename(cache)}"
            )
        return cache

    def kept(self):
        """What the last `forward` kept for `backward`."""
        if self.cache is None:
            raise RuntimeError(f"{type(self).__name__}.backward needs a call of forward before it")
        return self.cache


def positive_size(name, value):
    """`value` as an integer of at least 1, or an error that calls it `name`."""
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {_typename(value)}") from None
    if size < 1:
        raise ValueError(f"{name}: expected at least 1, got {size}")
    return size


def norm_of(grad):
    """The norm of all arrays of a dict together. Raises FloatingPointError if it is not finite."""
    norm = math.hypot(*(np.linalg.norm(gradient) for gradient in grad.values()))
    if not math.isfinite(norm):
        raise FloatingPointError(
            f"the gradient's norm is {norm}; a smaller learning rate or clipping prevents this"
        )
    return norm


def check_step(learning_rate, clip_val):
    """Raises ValueError for numbers with which a step would go up, or nowhere that is known."""
    if not 0 <= learning_rate < math.inf:
        raise ValueError(f"learning_rate: expected 0 or more, and finite, got {learning_rate}")
    if not clip_val > 0:
        raise ValueError(f"clip_val: expected a number above 0, got {clip_val}")


def _typename(value):
    return f"{type(value).__name__} {value!r}"[:80]
