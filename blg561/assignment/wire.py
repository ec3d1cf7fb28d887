"""Messages between the grader and the process of a submission: JSON and plain arrays, no pickle.

Both ends run this file. A message is the length of its JSON (8 bytes), the JSON, and the bytes of
the arrays that the JSON lists.
"""

import json
import math
import time

import numpy as np

TYPES = {"float64", "float32", "int64", "bool"}
LARGEST_JSON = 2**20  # read while the grader does nothing else
LARGEST_ARRAYS = 256 * 2**20


class Garbage(Exception):
    """What came is no message, or too large a one."""


def send(socket, said: dict, arrays: dict | None = None):
    arrays = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    listed = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    text = json.dumps([said, listed]).encode()
    socket.sendall(len(text).to_bytes(8, "big") + text)
    for array in arrays.values():
        if array.nbytes:
            socket.sendall(memoryview(array).cast("B"))


def receive(socket, seconds: float | None = None) -> tuple[dict, dict]:
    """The next message. Raises TimeoutError, EOFError, Garbage."""
    deadline = None if seconds is None else time.monotonic() + seconds
    length = int.from_bytes(read(socket, 8, deadline), "big")
    if length > LARGEST_JSON:
        raise Garbage(f"a message of {length:,} bytes")
    try:
        said, listed = json.loads(read(socket, length, deadline))
        shapes = {}
        for name, dtype, shape in listed:
            whole = all(type(n) is int and 0 <= n < 2**40 for n in shape) and len(shape) <= 8
            if type(name) is not str or dtype not in TYPES or not whole:
                raise ValueError(name)
            shapes[name] = np.dtype(dtype), tuple(shape)
        if type(said) is not dict or len(shapes) != len(listed):
            raise ValueError("not a message")
    except (ValueError, TypeError, RecursionError) as error:
        raise Garbage("something that is no message") from error
    sizes = [dtype.itemsize * math.prod(shape) for dtype, shape in shapes.values()]
    if sum(sizes) > LARGEST_ARRAYS:
        raise Garbage(f"arrays of {sum(sizes):,} bytes")
    arrays = {}
    for (name, (dtype, shape)), size in zip(shapes.items(), sizes, strict=True):
        arrays[name] = np.frombuffer(read(socket, size, deadline), dtype).reshape(shape)
    return said, arrays


def read(socket, size: int, deadline: float | None) -> bytearray:
    got = bytearray()
    while len(got) < size:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            socket.settimeout(left)
        piece = socket.recv(min(size - len(got), 2**20))
        if not piece:
            raise EOFError
        got += piece
    return got
