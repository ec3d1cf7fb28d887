"""The NumPy layers, forward and backward, beside their matrix products alone and beside PyTorch.

    python -m benchmarks.layers
    python -m benchmarks.layers --threads 1 --seconds 5

For each size (N, T, D, H), in float32, the milliseconds of a forward and a backward pass of

    ours      the layer's sequence methods
    products  the matrix products alone that the layer cannot avoid, of the same shapes
    steps     the layer's step methods in a plain loop, the gradients of the weights summed up
    torch     torch.nn on the CPU, with an input that requires its gradient

The four run in turns, so that a busy machine is busy for all of them. A time is the median over the
rounds, a ratio the median of the rounds' ratios. Memory is what NumPy allocates beyond the inputs:
"kept" is what forward leaves for backward, "peak" the most at any moment of the two, not counting
the results that they hand back.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import torch

from blg561.layer import GRULayer, LSTMLayer, RNNLayer

SIZES = [(32, 35, 256, 256), (64, 50, 128, 128), (20, 35, 64, 64), (2, 10, 3, 6)]
NETWORKS = {RNNLayer: torch.nn.RNN, LSTMLayer: torch.nn.LSTM, GRULayer: torch.nn.GRU}
MIB = 2**20
HEADER = """\
                          |            milliseconds             |       ratios of times       |     MiB
(N, T, D, H)              |   ours  products   steps    torch   | ours/   steps/  ours/       |
                          |                                     | products  ours  torch       |  kept   peak  ratio"""  # noqa: E501


def products(layer, x, dh):
    """A function that does the layer's matrix products, on arrays of their shapes, and no more."""
    N, T, H = dh.shape
    x = x.reshape(T * N, -1)
    h = dh.reshape(T, N, H)
    parameters = layer.parameters
    pairs = [(parameters["Wx"], parameters["Wh"])]
    if isinstance(layer, GRULayer):
        pairs.append((parameters["Wxi"], parameters["Whi"]))
    pairs = [(Wx, Wh, np.asfortranarray(Wh).T) for Wx, Wh in pairs]
    das = [np.resize(dh, (T, N, len(b))) for *_, b in pairs]

    def run():
        for (Wx, Wh, Wh_transposed), da in zip(pairs, das, strict=True):
            rows = da.reshape(T * N, -1)
            x @ Wx
            for t in range(T):
                h[t] @ Wh
            for t in range(T):
                da[t] @ Wh_transposed
            rows @ Wx.T
            x.T @ rows
            h.reshape(T * N, H).T @ rows

    return run


def by_steps(layer, x, h0, dh):
    """Forward and backward from the step methods alone."""
    states = [h0, np.zeros_like(h0)] if isinstance(layer, LSTMLayer) else [h0]
    h, dx, caches = np.empty_like(dh), np.empty_like(x), []
    for t in range(x.shape[1]):
        *states, cache = layer.forward_step(x[:, t], *states)
        h[:, t] = states[0]
        caches.append(cache)
    dstates = [np.zeros_like(state) for state in states]
    totals = [np.zeros_like(parameter) for parameter in layer.parameters.values()]
    for t in reversed(range(x.shape[1])):
        dstates[0] = dstates[0] + dh[:, t]
        dx[:, t], *gradients = layer.backward_step(*dstates, caches[t])
        dstates = gradients[: len(states)]
        for total, gradient in zip(totals, gradients[len(states) :], strict=True):
            total += gradient


def by_torch(network, x, h0, dh):
    """Forward and backward of a network of torch.nn, on tensors."""
    x = x.detach().requires_grad_()
    states = (h0, torch.zeros_like(h0)) if isinstance(network, torch.nn.LSTM) else h0
    network.zero_grad()
    h, _ = network(x, states)
    h.backward(dh)


def in_turns(functions, seconds):
    """Milliseconds of each function, from rounds in which each runs twice and the second counts.

    The first run lets the threads of the library that ran before come to rest: PyTorch's go on
    spinning for some milliseconds after their work, on a core that NumPy's need.
    """
    times = [[] for _ in functions]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for function, its_times in zip(functions, times, strict=True):
            function()
            start = time.perf_counter()
            function()
            its_times.append(1000 * (time.perf_counter() - start))
    return times


def ratio(times, others):
    return statistics.median(a / b for a, b in zip(times, others, strict=True))


def memory(layer, x, h0, dh):
    """Bytes that forward leaves for backward, and the most at any moment of the two."""
    layer.cache, layer.grad = None, {}
    tracemalloc.start()
    h = layer.forward(x, h0)
    now, forward_peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    results = sum(gradient.nbytes for gradient in layer.backward(dh).values())
    _, backward_peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return now - h.nbytes, max(forward_peak, backward_peak - results) - h.nbytes


def row(size, layer_class, seconds):
    N, T, D, H = size
    rng = np.random.default_rng(0)
    layer = layer_class(D, H, rng, np.float32)
    network = NETWORKS[layer_class](D, H, batch_first=True)
    shapes = [(N, T, D), (N, H), (N, T, H)]
    x, h0, dh = arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    x_torch, h0_torch, dh_torch = map(torch.from_numpy, arrays)
    ours, least, steps, peer = in_turns(
        [
            lambda: (layer.forward(x, h0), layer.backward(dh)),
            products(layer, x, dh),
            lambda: by_steps(layer, x, h0, dh),
            lambda: by_torch(network, x_torch, h0_torch[None], dh_torch),
        ],
        seconds,
    )
    kept, peak = memory(layer, x, h0, dh)
    milliseconds = " ".join(
        f"{statistics.median(times):8.2f}" for times in (ours, least, steps, peer)
    )
    ratios = f"{ratio(ours, least):7.2f} {ratio(steps, ours):7.2f} {ratio(ours, peer):7.2f}"
    mebibytes = f"{kept / MIB:6.2f} {peak / MIB:6.2f} {peak / kept:6.2f}"
    name = layer_class.__name__.removesuffix("Layer")
    return f"{size!s:20} {name:4} | {milliseconds} | {ratios}     | {mebibytes}"


def lines(seconds):
    for size in SIZES:
        for layer_class in NETWORKS:
            yield row(size, layer_class, seconds)


def print_table(threads, header, lines):
    torch.set_num_threads(threads)
    versions = f"NumPy {np.__version__}, torch {torch.__version__}"
    if hasattr(os, "getloadavg"):  # Windows has none
        versions += f", load average {os.getloadavg()[0]:.1f}"
    print(f"threads: {threads}, {versions}\n{header}")
    for line in lines:
        print(line, flush=True)
    print()


def command_line(module, description, header, lines):
    """A benchmark as a command: for each of --threads the table of `lines(seconds)`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each line (default: 2)")
    arguments = parser.parse_args()
    for threads in arguments.threads:
        # NumPy's BLAS reads its number of threads when it is loaded: each number needs a process.
        wanted = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        if wanted.items() <= os.environ.items():
            print_table(threads, header, lines(arguments.seconds))
            continue
        command = [sys.executable, "-m", module, "--threads", str(threads)]
        command += ["--seconds", str(arguments.seconds)]
        subprocess.run(command, env={**os.environ, **wanted}, check=True)


if __name__ == "__main__":
    command_line(__spec__.name, __doc__, HEADER, lines)
