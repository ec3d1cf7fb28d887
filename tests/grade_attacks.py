"""The grader on attacks: each costs what depends on it, and nothing of it reaches the grader.

Not among the tests that `pytest tests` collects: `make test` runs it by name.
"""

import json
import time
from functools import cache
from pathlib import Path

import pytest
from made_submissions import LAYERS, in_forward, layers_alone, notebook, said_for

from blg561.assignment import grade, handout
from blg561.assignment.sandbox import Sandbox, namespaces

SOLUTION = handout.PACKAGE / "layer/recurrent_layers.py"


def by_other_means(gradient: str) -> str:
    """The solution with each gradient of its backward methods by an expression.

    `v` is the array that it is of, `f` gives the outputs, `us` are their gradients.
    """
    return (
        LAYERS
        + f"""

from blg561.checks import grad_check


def other_means(cls):
    def grads(layer, arrays, us, f):
        return [{gradient} for v in [*arrays, *layer.parameters.values()]]

    step, whole = cls.forward_step, cls.forward

    def forward_step(self, *inputs):
        return *step(self, *inputs)[:-1], inputs

    def backward_step(self, *us):
        *us, inputs = us
        return grads(self, inputs, us, lambda: step(self, *inputs)[:-1])

    def forward(self, x, h0):
        self.kept = x, h0
        return whole(self, x, h0)

    def backward(self, dh):
        names = ["dx", "dh0", *("d" + name for name in self.parameters)]
        came = grads(self, self.kept, [dh], lambda: [whole(self, *self.kept)])
        return dict(zip(names, came, strict=True))

    cls.forward_step, cls.backward_step = forward_step, backward_step
    cls.forward, cls.backward = forward, backward


for each in (RNNLayer, LSTMLayer, GRULayer):
    other_means(each)
"""
    )


NUMERIC = "sum(grad_check(lambda _, k=k: f()[k], v, u) for k, u in enumerate(us))"

# name → (layers' text, points of the RNN's 10, a word that the student must read)
ATTACKS = {
    # in `forward` alone: only what depends on it is lost
    "sys-exit": (in_forward("import sys; sys.exit(0)"), 5, "SystemExit"),
    "os-exit": (in_forward("import os; os._exit(0)"), 5, "ended the process (exit code 0)"),
    "segfault": (in_forward("import ctypes; ctypes.string_at(0)"), 5, "crashed the process"),
    "reads-solution": (
        "from blg561.layer.layer import Layer\nopen(" + repr(str(SOLUTION)) + ")\n" + LAYERS,
        0,
        "PermissionError",
    ),
    "imports-solution": (
        "from importlib import util\nspec = util.spec_from_file_location('s', "
        + repr(str(SOLUTION))
        + ")\nspec.loader.exec_module(util.module_from_spec(spec))\n"
        + LAYERS,
        0,
        "PermissionError",
    ),
    "finds-another-torch": (
        in_forward("import os\nopen(os.path.dirname(np.__path__[0]) + '/torch/__init__.py')"),
        5,
        "PermissionError",
    ),
    "answers-ahead": (
        in_forward(
            "import __main__, sys\nfrom wire import send\nimport json, socket\n"
            "line = socket.socket(fileno=json.loads(sys.argv[1])['line'])\n"
            "send(line, {}, {'o.h': np.zeros((*x.shape[:2], self.out_size))})"
        ),
        5,
        "other arrays than",
    ),
    "unpickles": (
        in_forward(
            "import json, os, pickle, sys\n"
            "os.write(json.loads(sys.argv[1])['line'], pickle.dumps(print))"
        ),
        5,
        "a message of",
    ),
    "parents-memory": (
        in_forward("import os\nopen(f'/proc/{os.getppid()}/mem', 'rb')"),
        5,
        "Error",
    ),
    "its-own-harness": (
        in_forward("import json, sys\nopen(json.loads(sys.argv[1])['folder'] + '/child.py', 'a')"),
        5,
        "PermissionError",
    ),
    "temporary-folder": (in_forward("open('/tmp/blg561-left', 'w')"), 5, "PermissionError"),
    "a-path-as-socket": (
        in_forward("import socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_STREAM)"),
        5,
        "PermissionError",
    ),
    "locks-its-folder": (
        in_forward("import os\ntry: os.makedirs('d/e')\nexcept OSError: pass\nos.chmod('d', 0)"),
        10,
        "",
    ),
    "looks-for-the-seed": (
        in_forward(
            "import sys\nframe = sys._getframe()\n"
            "while 'asked' not in frame.f_locals: frame = frame.f_back\n"
            "raise ValueError(sorted(frame.f_locals['asked']))"
        ),
        5,
        "['class', 'do', 'inputs', 'method', 'outputs', 'parameters', 'sizes', 'upstream']",
    ),
    "network": (
        in_forward("import socket\nsocket.create_connection(('127.0.0.1', 22), 1)"),
        5,
        "Error",
    ),
    "runs-away": (
        in_forward("import os\nif os.fork(): os._exit(0)\nos.setsid()\nwhile True: pass"),
        5,
        "",
    ),
    "100-gb": (in_forward("np.ones(100 * 2**30 // 8)"), 5, "MemoryError"),
    "1-gb-printed": (
        in_forward("pass", "import sys\nfor _ in range(64): sys.stdout.buffer.write(bytes(2**24))"),
        10,
        "right",
    ),
    "big-file": (in_forward("open('x', 'wb').write(bytes(2**28))"), 5, "File too large"),
    "kills": (
        in_forward(
            "import os\nfor process in (-1, os.getppid()):\n"
            "    try: os.kill(process, 9)\n    except OSError: pass"
        ),
        10,
        "",
    ),
    "numpy-patched": (
        in_forward(
            "return np.zeros((*x.shape[:2], self.out_size))",
            "for name in ('allclose', 'array_equal', 'array', 'abs'):\n"
            "    setattr(np, name, lambda *a, **k: True)",
        ),
        0,
        "",
    ),
    "subclass": (
        in_forward(
            "return np.zeros((*x.shape[:2], self.out_size)).view(Equal)",
            "class Equal(np.ndarray):\n    __eq__ = __le__ = __ne__ = lambda *_: True",
        ),
        5,
        "numbers are wrong",
    ),
    "forged": (
        in_forward(
            "import json, os, socket\n"
            "line = json.loads(__import__('sys').argv[1])['line']\n"
            "text = json.dumps([{'score': 10}, []]).encode()\n"
            "os.write(line, len(text).to_bytes(8, 'big') + text)"
        ),
        5,
        "other arrays than",
    ),
    "floods": (
        in_forward(
            "import json, os, sys\nos.write(json.loads(sys.argv[1])['line'], b'\\xff' * 100)"
        ),
        5,
        "a message of",
    ),
    "harness-patched": (
        LAYERS.replace(
            "import numpy as np",
            "import numpy as np\nimport __main__\n"
            "__main__.DO['run_layer'] = lambda said, arrays: ({}, arrays)",
            1,
        ),
        0,
        "other arrays than",
    ),
    "no-exception": (
        in_forward("class Odd(BaseException): pass\nraise Odd"),
        5,
        "ended the process",
    ),
    "root-again": (in_forward("import os\nos.setuid(0)"), 5, "PermissionError"),
    "other-folders": (in_forward("import os\nos.listdir('..' + '/..')"), 5, "PermissionError"),
    "deep-folders": (
        in_forward("import os\nfor _ in range(60): os.mkdir('d'); os.chdir('d')"),
        10,
        "right",
    ),
    "huge-view": (in_forward("return np.broadcast_to(0.0, (2**20, 2**12))"), 5, "MemoryError"),
    "objects": (in_forward("return np.array([[[object()]]])"), 5, "TypeError"),
    # each takes the seconds that a method may take, twice
    "endless": (in_forward("while True: pass"), 5, "within 2 seconds"),
    "fork-bomb": (
        in_forward("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"),
        5,
        "within 2 seconds",
    ),
    "sets-sid": (
        in_forward("import os\ntry: os.setsid()\nexcept OSError: pass\nwhile True: pass"),
        5,
        "within 2 seconds",
    ),
    "error-without-end": (
        in_forward(
            "class Endless(Exception):\n    def __str__(self):\n"
            "        while True: pass\nraise Endless"
        ),
        5,
        "within 2 seconds",
    ),
    # gradients by other means than their formula: the forward half is left
    "finite-differences": (by_other_means(NUMERIC), 4, "as finite differences"),
    "autograd": (
        LAYERS.replace("import numpy as np", "import numpy as np\nimport torch", 1)
        + by_other_means("torch.tensor(v, requires_grad=True)")[len(LAYERS) :],
        4,
        "NumPy alone, without torch",
    ),
    "imports-left-over": ("import torch\n" + LAYERS, 10, "right"),
    "better-differences": (
        by_other_means(
            "sum((4 * grad_check(lambda _, k=k: f()[k], v, u, h=1e-3)"
            " - grad_check(lambda _, k=k: f()[k], v, u, h=2e-3)) / 3 for k, u in enumerate(us))"
        ),
        4,
        "",
    ),
}
NEEDS_ISOLATION = {
    "reads-solution", "imports-solution", "finds-another-torch", "its-own-harness",
    "temporary-folder", "other-folders", "parents-memory", "a-path-as-socket", "root-again",
    "fork-bomb", "kills", "sets-sid", "runs-away",
}  # fmt: skip


@cache
def isolated() -> bool:
    """Whether this machine takes files, processes and network away from a submission."""
    with Sandbox({}, said_for("RNN")["limits"]) as box:
        box.start()
        return bool(namespaces()) and any("Landlock" in force for force in box.force)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_costs_what_depends_on_it(tmp_path, name):
    if name in NEEDS_ISOLATION and not isolated():
        pytest.skip("this system does not isolate a process")
    text, points, word = ATTACKS[name]
    said = said_for("RNN", seconds=2 if "2 seconds" in word else 3)
    one = grade.grade_one(layers_alone(tmp_path, name, text), said, 3, "", {})
    told = "\n".join(f"{t.score:.2f} {t.name}: {t.said}" for t in one.tests)
    assert one.score == points and word in told, told
    assert not one.flags


def test_attacks_beside_an_honest_submission_cost_it_nothing(tmp_path):
    """Graded in one go, with a page for each; and once more, with the same points."""
    names = ["os-exit", "segfault", "forged", "numpy-patched", "harness-patched"]
    names += ["temporary-folder", "kills"] if isolated() else []
    paths = [layers_alone(tmp_path, name, ATTACKS[name][0]) for name in names]
    paths.insert(2, layers_alone(tmp_path, "honest"))
    first, again = (grade.grade_all(paths, tmp_path / out, said_for("RNN"), seed=7) for out in "ab")
    scores = {one.name: one.score for one in first}
    assert scores == {"honest": 10} | {name: ATTACKS[name][1] for name in names}
    assert [one.tests for one in again] == [one.tests for one in first]
    assert not Path("/tmp/blg561-left").exists()
    assert all((tmp_path / "a" / name / "page.html").is_file() for name in scores)


def test_a_submission_that_is_slow_everywhere_is_ended_and_keeps_what_was_reached(tmp_path):
    said = said_for("RNN", "LSTM", "Q")
    said["limits"]["seconds_for_a_submission"] = 2
    sleeps = in_forward("import time; time.sleep(0.9)")
    paths = [layers_alone(tmp_path, "slow", sleeps), layers_alone(tmp_path, "b")]
    (paths[0] / "LanguageModelling.ipynb").write_text(
        json.dumps(notebook({}, ("An answer.",))), "utf-8"
    )
    start = time.monotonic()
    b, slow = grade.grade_all(paths, tmp_path / "out", said, seed=7)
    assert time.monotonic() - start < 10
    told = "\n".join(f"{t.score:.2f} {t.name}: {t.said}" for t in slow.tests)
    assert (slow.of_part("RNN"), slow.of_part("LSTM")) == (5, 0), told
    assert "2 seconds for the whole submission were used up" in told
    assert all("used up" in t.said or "once" in t.said for t in slow.tests if t.part == "LSTM")
    assert slow.answers == {"Question 1": "An answer."} and not slow.flags
    assert (b.of_part("RNN"), b.of_part("LSTM")) == (10, 15)
