"""The process that a submission runs in: gives its powers up, then computes what it is asked.

The grader copies this file beside the submission and starts it. What it starts as stays behind and
watches; a process of its own computes. It knows no answer: it gets inputs,
calls the submission, and sends what came out. Nothing that it says is believed: what is right is
computed, and compared, in the grader's process.
"""

import ast
import ctypes
import importlib
import json
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import sysconfig
import threading
import traceback
import types
from pathlib import Path

# ------------------------------------------------------------------------------------------------
# Giving powers up
# ------------------------------------------------------------------------------------------------

PROCESSES = 64


def give_up(said: dict) -> list[str]:
    """Set the limits and close off the system; in words, what is in force."""
    memory = int(said["memory_gib"] * 2**30)
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: said["cpu_seconds"],
        resource.RLIMIT_FSIZE: 64 * 2**20,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 256,
    }
    force = [f"memory at most {said['memory_gib']:g} GiB", "limits on time and on a file's size"]
    if said["uid"] is not None:
        limits[resource.RLIMIT_NPROC] = PROCESSES
        force.append(f"at most {PROCESSES} processes of a user of its own")
    for which, value in limits.items():
        resource.setrlimit(which, (value, value))
    locked = landlock(said["folder"], said["libraries"])
    if said["uid"] is not None:
        if said["search"] and not locked:
            raise PermissionError(
                "without Landlock a submission would run as root, because only root can read "
                f"{sys.executable}: install Python where every user can"
            )
        libc = ctypes.CDLL(None)
        libc.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(said["uid"], said["uid"], said["uid"])
        os.setresuid(said["uid"], said["uid"], said["uid"])
        # where only root may read this Python: what Landlock leaves may be read whoever owns it
        kept = SEARCH_AND_READ if said["search"] else 0
        header, sets = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", kept, kept, 0, 0, 0, 0)
        if libc.capset(header, sets) != 0:
            raise OSError("capset")
    if no_sockets():
        force.append("opens no socket (seccomp)")
    if locked:
        force.append("sees its own folder, Python and its libraries, and no other file (Landlock)")
    return force


READ_FILE, READ_DIR, EXECUTE, WRITE_FILE = 1 << 2, 1 << 3, 1 << 0, 1 << 1
KEEP_CAPABILITIES, SEARCH_AND_READ = 8, 1 << 2
LIBRARIES = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"]
SYSTEM = ["/etc/ld.so.cache", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system"]
SYSTEM += ["/dev/urandom", "/dev/random"]
CREATE, RULESET_VERSION, PATH_BENEATH, NO_NEW_PRIVILEGES = 444, 1, 1, 38


def landlock(folder: str, libraries: list[str] | None) -> bool:
    """Let this process and its children reach the files they need and no others; whether it held.

    libraries: those that may be imported; None for all that are installed.

    Landlock is part of Linux from 5.13 and needs no privilege. From 6.7 it also refuses TCP, from
    6.12 signals to other processes.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE, None, 0, RULESET_VERSION)
    if version < 1:
        return False
    files = (1 << min(13 + (version >= 2) + (version >= 3) + (version >= 5), 16)) - 1
    wanted = struct.pack("QQQ", files, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = libc.syscall(CREATE, wanted, len(wanted), 0)
    if rules < 0:
        return False

    def allow(path, rights):
        try:
            place = os.open(path, os.O_PATH)
        except OSError:
            return
        if not os.path.isdir(path):
            rights &= EXECUTE | WRITE_FILE | READ_FILE | (1 << 14 if version >= 3 else 0)
        rule = struct.pack("=Qi", rights & files, place)
        libc.syscall(CREATE + 1, rules, PATH_BENEATH, rule, 0)
        os.close(place)

    reading = READ_FILE | READ_DIR | EXECUTE
    allow(folder, reading)
    allow(os.path.join(folder, "home"), files)
    for path in SYSTEM:
        allow(path, reading)
    for path in ("/dev/null", "/dev/zero"):
        allow(path, reading | WRITE_FILE)
    # our own package, with the solutions, lies among the libraries: each other entry by itself
    places = {*LIBRARIES, *sys.path, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    places |= {os.path.join(sys.base_prefix, "lib")}
    for place in places:
        if not os.path.isdir(place) or os.path.samefile(place, folder):
            continue
        installed = place.rstrip("/").endswith("-packages")
        if os.path.isdir(os.path.join(place, "blg561")) and not installed:
            continue  # a checkout
        allow(place, READ_DIR)
        for entry in os.listdir(place):
            if installed and libraries is not None:
                wanted_here = entry.lower().startswith(tuple(libraries))
            else:
                hidden = ("blg561", "__editable__", "python3")
                wanted_here = not entry.startswith(hidden) and "-packages" not in entry
            if wanted_here:
                allow(os.path.join(place, entry), reading)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return libc.syscall(CREATE + 2, rules, 0) == 0


# machine → AUDIT_ARCH and the numbers of socket, socketpair, connect, io_uring_setup
SOCKET_CALLS = {
    "x86_64": (0xC000003E, (41, 53, 42, 425)),
    "aarch64": (0xC00000B7, (198, 199, 203, 425)),
}
SET_SECCOMP, MODE_FILTER, OTHER_ABI = 22, 2, 0x40000000
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # with EPERM


def no_sockets() -> bool:
    """Refuse the system's calls that open or connect a socket; whether it held.

    Landlock leaves sockets that have a path alone, such as D-Bus's and Docker's, and through those
    a process of the teacher's user could have another one started outside.
    """
    machine = os.uname().machine
    if not sys.platform.startswith("linux") or machine not in SOCKET_CALLS:
        return False
    architecture, refused = SOCKET_CALLS[machine]
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    last = len(refused) + 4  # the place of ALLOW, before that of REFUSE
    steps = [(load, 0, 0, 4), (equal, 0, last - 1, architecture), (load, 0, 0, 0)]
    steps += [(at_least, last - 3, 0, OTHER_ABI)]
    steps += [(equal, last - place, 0, call) for place, call in enumerate(refused, start=4)]
    steps += [(answer, 0, 0, ALLOW), (answer, 0, 0, REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return libc.prctl(SET_SECCOMP, MODE_FILTER, program, 0, 0) == 0


# ------------------------------------------------------------------------------------------------
# Watching
# ------------------------------------------------------------------------------------------------


def watch(child: int, line: int):
    """End as the child does; and with all that it started, where the grader is there no more.

    A grader that is killed can end nothing itself, and a submission that computes without end, or
    means to, does not look. This process runs nothing of the submission. Where there is a process
    namespace it is the first in it, and the system ends the others with it.
    """
    threading.Thread(target=end_with_the_grader, args=[line], daemon=True).start()
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def end_with_the_grader(line: int):
    hung_up = select.poll()
    hung_up.register(line, 0)  # 0: woken by nothing but the other end's being closed
    hung_up.poll()
    os.kill(0, signal.SIGKILL)
    os._exit(1)


# ------------------------------------------------------------------------------------------------
# Layers
# ------------------------------------------------------------------------------------------------


class Absent(types.ModuleType):
    """A library that differentiates by itself: an import that is left over costs nothing, its use
    fails."""

    def __getattr__(self, name):
        raise ImportError(f"the layers are to be written in NumPy alone, without {self.__name__}")


def as_arrays(values, names: list[str]) -> dict:
    import numpy as np

    if len(values) != len(names):
        raise TypeError(f"expected {len(names)} values ({', '.join(names)}), got {len(values)}")
    return {name: np.array(v, dtype=np.float64) for name, v in zip(names, values, strict=True)}


def run_layer(said: dict, arrays: dict):
    """One method of one layer on given numbers, twice, and what it left of its inputs."""
    module = importlib.import_module("blg561.layer.recurrent_layers")
    parameters = {name: arrays["p." + name].copy() for name in said["parameters"]}
    inputs = [arrays["i." + name].copy() for name in said["inputs"]]
    upstream = [arrays["u." + name].copy() for name in said["upstream"]]
    layer = getattr(module, said["class"])(*said["sizes"])
    for name, value in parameters.items():
        setattr(layer, name, value)

    def once():
        if said["method"].endswith("_step"):
            *states, cache = layer.forward_step(*inputs)
            if said["method"] == "forward_step":
                return as_arrays(states, said["outputs"])
            return as_arrays(layer.backward_step(*upstream, cache), said["outputs"])
        h = layer.forward(*inputs)
        if said["method"] == "forward":
            return as_arrays([h], said["outputs"])
        returned = layer.backward(*upstream)
        grad = returned if isinstance(returned, dict) else layer.grad
        missing = [name for name in said["outputs"] if name not in grad]
        if missing:
            raise KeyError(f"self.grad has no {', '.join(missing)}")
        return as_arrays([grad[name] for name in said["outputs"]], said["outputs"])

    sent = {"o." + name: array for name, array in once().items()}
    names = [*said["inputs"], *said["parameters"], *said["upstream"]]
    left = [*inputs, *parameters.values(), *upstream]
    sent |= {"left." + name: array for name, array in zip(names, left, strict=True)}
    return {}, sent | {"again." + name: array for name, array in once().items()}


# ------------------------------------------------------------------------------------------------
# The language model
# ------------------------------------------------------------------------------------------------

SPACE = {"__name__": "submission"}


def own(name: str):
    if name not in SPACE:
        raise LookupError(f"the notebook defines no {name}")
    return SPACE[name]


def define(said: dict, arrays: dict):
    """Run the imports, functions, classes and plain assignments of the notebook."""
    cells = json.loads(Path(said["path"]).read_text(encoding="utf-8"))["cells"]
    faults, nodes, flags = [], [], 0
    for number, cell in enumerate(cells, start=1):
        if cell.get("cell_type") != "code":
            continue
        text = "".join(cell["source"]).replace("\r\n", "\n")
        lines = [
            ("" if line.lstrip()[:1] in "%!" and line.strip() else line)
            for line in text.split("\n")
        ]
        try:
            nodes += [(number, node) for node in ast.parse("\n".join(lines)).body]
        except SyntaxError as error:
            faults.append(f"cell {number}: {error.msg}, line {error.lineno} of the cell")
    own = {n.name for _, n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    for number, node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__import__("__future__"), alias.name).compiler_flag
            continue
        if not is_definition(node, own):
            continue
        try:
            module = ast.Module([node], [])
            exec(compile(module, f"cell {number}", "exec", flags, dont_inherit=True), SPACE)
        except Exception as error:
            # an assignment may build on what is not run here, such as a training
            if not isinstance(node, (ast.Assign, ast.AnnAssign)):
                faults.append(f"cell {number}: {type(error).__name__}: {error}"[:300])
    return {"names": sorted(own)[:200], "faults": faults[:20]}, {}


ELSEWHERE = {"input", "pack", "save_network", "find", "find_or_practice"}  # reach out of the cell


def is_definition(node, own: set[str]) -> bool:
    plain = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    if isinstance(node, plain):
        return True
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return False
    called = {
        getattr(n.func, "id", getattr(n.func, "attr", ""))
        for n in ast.walk(node)
        if isinstance(n, ast.Call)
    }
    return not called & (own | ELSEWHERE)


def run_dataset(said: dict, arrays: dict):
    sent, told = {}, {}
    for name, train in (("train", True), ("valid", False)):
        made = own("Dataset")(
            said["seq_length"], said["path"], train=train, train_split=said["split"]
        )
        told[name] = {
            "length": len(made),
            "lexicon": list(made.unique_data),
            "data_idx": dict(made.data_idx),
            "idx_data": [made.idx_data[index] for index in range(len(made.idx_data))],
        }
        for place in said[name]:
            try:
                data, target = made[slice(*place) if isinstance(place, list) else place]
            except Exception as error:
                told[name]["fault"] = f"window {place}: {type(error).__name__}: {error}"[:300]
                continue
            sent[f"{name}.{place}.data"] = to_numpy(data)
            sent[f"{name}.{place}.target"] = to_numpy(target)
        sent[f"{name}.data"] = to_numpy(made.data)
    return told, sent


def to_numpy(tensor):
    return tensor.detach().cpu().numpy()


def map_state(function, state):
    return tuple(map(function, state)) if isinstance(state, (tuple, list)) else function(state)


def run_model(said: dict, arrays: dict):
    """Logits of a network with random weights, read in several ways."""
    import torch

    torch.manual_seed(said["seed"])
    model = own(said["class"])(**said["arguments"])
    x, other = torch.tensor(arrays["x"]), torch.tensor(arrays["other"])
    half = x.shape[1] // 2
    with torch.no_grad():
        model.train()
        noisy = [model(x, model.initialize(len(x)))[0] for _ in range(2)]
        model.eval()
        whole, _ = model(x, model.initialize(len(x)))
        first, state = model(x[:, :half], model.initialize(len(x)))
        second, _ = model(x[:, half:], state)
        fresh, _ = model(x[:, half:], model.initialize(len(x)))
        alone, _ = model(x[:1], model.initialize(1))
        later, _ = model(other, model.initialize(len(x)))
        sent = {"whole": whole, "first": first, "second": second, "fresh": fresh, "alone": alone,
                "later": later, "noisy0": noisy[0], "noisy1": noisy[1]}  # fmt: skip
        # without weights between the states, a gate at one half still lets the old state through
        ids = {
            id(parameter)
            for module in model.modules()
            if isinstance(module, torch.nn.Embedding)
            or getattr(module, "out_features", None) == said["arguments"]["ntoken"]
            for parameter in module.parameters()
        }
        for parameter in model.parameters():
            if id(parameter) not in ids:
                parameter.zero_()
        state = map_state(lambda s: torch.ones_like(s), model.initialize(len(x)))
        sent["from_ones"], _ = model(x[:, :1], state)
        sent["from_zeros"], _ = model(x[:, :1], model.initialize(len(x)))
    return {}, {name: to_numpy(logits) for name, logits in sent.items()}


def run_learning(said: dict, arrays: dict):
    """Logits after some steps on drawn words."""
    import torch

    torch.manual_seed(said["seed"])
    model = own(said["class"])(**said["arguments"])
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    model.train()
    for words in torch.tensor(arrays["words"]):
        logits, _ = model(words[:, :-1], model.initialize(len(words)))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), words[:, 1:].flatten()).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        last = torch.tensor(arrays["last"])
        logits, _ = model(last, model.initialize(len(last)))
    return {}, {"logits": to_numpy(logits)}


def loop_case(said: dict, arrays: dict):
    """A network of the grader's, and loaders of its text, for the functions around a network."""
    import torch
    from torch.utils.data import DataLoader

    from blg561.language_model.dataset import ContinuingRows

    class Text(torch.utils.data.Dataset):
        def __init__(self, data):
            self.data, self.seq_length = torch.tensor(data), said["seq_length"]
            self.unique_data = [f"w{n}" for n in range(said["ntoken"])]
            self.idx_data = dict(enumerate(self.unique_data))
            self.data_idx = {word: index for index, word in self.idx_data.items()}

        def __len__(self):
            return len(self.data) - self.seq_length

        def __getitem__(self, place):
            if not isinstance(place, slice):
                place = slice(place, place + self.seq_length)
            return self.data[place], self.data[place.start + 1 : place.stop + 1]

    class Leaky(torch.nn.Module):
        """h_t = h_{t-1} A + E[x_t], logits h_t W: what is graded is the loop around it."""

        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(*arrays["E"].shape)
            self.step = torch.nn.Parameter(torch.tensor(arrays["A"]))
            self.output = torch.nn.Linear(*arrays["W"].shape, bias=False)
            self.drop = torch.nn.Dropout(said.get("dropout", 0.0))
            with torch.no_grad():
                self.embedding.weight.copy_(torch.tensor(arrays["E"]))
                self.output.weight.copy_(torch.tensor(arrays["W"]).T)
            self.arguments = {"ntoken": said["ntoken"]}

        def initialize(self, batch_size):
            return torch.zeros(1, batch_size, len(self.step))

        def forward(self, x, state):
            h, inputs, hs = state[0], self.drop(self.embedding(x)), []
            for t in range(x.shape[1]):
                h = h @ self.step + inputs[:, t]
                hs.append(h)
            return self.output(torch.stack(hs, dim=1)), h[None]

    def loader(name, rows):
        text = Text(arrays[name])
        return DataLoader(text, batch_sampler=ContinuingRows(text, rows))

    model = Leaky()
    return model, loader, torch.optim.SGD(model.parameters(), said.get("lr", 0.1))


def weights(model) -> dict:
    return {
        "E": to_numpy(model.embedding.weight).copy(),
        "A": to_numpy(model.step).copy(),
        "W": to_numpy(model.output.weight).T.copy(),
    }


def run_epoch(said: dict, arrays: dict):
    import torch

    model, loader, optimizer = loop_case(said, arrays)
    log = {name: [] for name in said["log"]}
    loss = own("train_one_epoch")(
        model, torch.nn.CrossEntropyLoss(), optimizer, loader("text", said["rows"]), log, 2,
        said["clip"] is not None, said["clip"] or 0.25,
    )  # fmt: skip
    return {"loss": float(loss), "training": model.training}, weights(model)


def run_evaluate(said: dict, arrays: dict):
    import torch

    model, loader, _ = loop_case(said, arrays)
    told = {}
    for name, rows, mode in (("one", 1, True), ("rows", said["rows"], False)):
        model.train(mode)
        log = {name: [] for name in said["log"]}
        loss = own("evaluate")(model, torch.nn.CrossEntropyLoss(), loader("text", rows), log)
        told[name] = float(loss)
        told[name + "_mode"] = model.training == mode
    return told, weights(model)


def run_train(said: dict, arrays: dict):
    import torch

    model, loader, optimizer = loop_case(said, arrays)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    log = own("train")(
        loader("text", said["rows"]), loader("valid", 1), model, optimizer,
        torch.nn.CrossEntropyLoss(), said["epochs"], False, 0.25, 2, scheduler, True, 1, 1,
        "graded",
    )  # fmt: skip
    told = {name: [float(x) for x in log[name]][:100] for name in ("train_loss", "validation_loss")}
    return told, weights(model)


def run_generate(said: dict, arrays: dict):
    """Words after a history, from a network whose distribution is a table of the last two words."""
    import torch

    table, V = torch.tensor(arrays["table"]), said["ntoken"]

    class Table(torch.nn.Module):
        """Logits depend on this word and on the sum of all before it: on the state, too."""

        def __init__(self):
            super().__init__()
            self.output = torch.nn.Linear(1, V)
            self.drop = torch.nn.Dropout(0.9)

        def initialize(self, batch_size):
            return torch.zeros(1, batch_size, 1)

        def forward(self, x, state):
            sums = state[0] + x.cumsum(1)
            rows = table[(sums % V).long()]
            noise = self.drop(torch.ones_like(rows)) - 1
            return rows + 100 * noise, sums[:, -1:][None].float()

    torch.manual_seed(said["seed"])
    words = [f"w{n}" for n in range(V)]
    model = Table().train()
    came = own("generate")(
        model, [words[n] for n in said["history"]], {w: i for i, w in enumerate(words)},
        dict(enumerate(words)), said["len_hist"], said["len_gen"],
    )  # fmt: skip
    return {"words": [str(word) for word in came][:100_000], "training": model.training}, {}


NETWORK = {}


def open_network(said: dict, arrays: dict):
    """Build a handed-in network; its lexicon. Its file holds numbers and words: nothing is run."""
    import torch

    try:
        found = torch.load(said["path"], map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own message tells how to load it all the same
        raise ValueError("it is not a file that save_network wrote: numbers and words") from error
    missing = [name for name in ("arguments", "weights", "lexicon") if name not in found]
    if missing:
        raise KeyError(f"the file has no {', '.join(missing)}: save_network writes them")
    model = own(said["class"])(**found["arguments"])
    model.load_state_dict({name: value.float() for name, value in found["weights"].items()})
    NETWORK["model"], NETWORK["state"] = model.eval(), model.initialize(said["rows"])
    return {"lexicon": list(found["lexicon"])}, {}


def read_words(said: dict, arrays: dict):
    """Logits of the words that follow these, each row after all that it read before."""
    import torch

    with torch.no_grad():
        x = torch.tensor(arrays["x"])[:, None]
        logits, NETWORK["state"] = NETWORK["model"](x, NETWORK["state"])
    return {}, {"logits": to_numpy(logits[:, -1].float())}


# ------------------------------------------------------------------------------------------------
# Figures and answers: in a process that runs nothing of the submission
# ------------------------------------------------------------------------------------------------

LONGEST_ANSWER = 20_000


def read_answers(said: dict, arrays: dict):
    """The text of the cells with the tags answer-1, answer-2, ..., by question from 0."""
    cells = json.loads(Path(said["path"]).read_text(encoding="utf-8-sig"))["cells"]
    answers = {}
    for number in range(said["count"]):
        tag = f"answer-{number + 1}"
        tagged = [cell for cell in cells if tag in cell.get("metadata", {}).get("tags", [])]
        text = "\n".join("".join(cell["source"]) for cell in tagged).strip()
        if text and text != "*Your answer*":
            answers[number] = text[:LONGEST_ANSWER]
    return {"answers": answers}, {}


def look_at(said: dict, arrays: dict):
    from PIL import Image

    with Image.open(said["path"], formats=["PNG"]) as image:  # some others start programs
        if image.width * image.height > 50_000_000:
            raise ValueError(f"an image of {image.width} by {image.height} pixels")
        small = image.convert("L").resize((64, 64))
        levels = len(set(small.tobytes()))
        return {"width": image.width, "height": image.height, "levels": levels}, {}


CASES = run_epoch, run_evaluate, run_train, run_generate
DO = (
    run_layer,
    define,
    run_dataset,
    run_model,
    run_learning,
    *CASES,
    open_network,
    read_words,
    read_answers,
    look_at,
)
DO = {function.__name__: function for function in DO}


def main():
    said = json.loads(sys.argv[1])
    child = os.fork()
    if child:
        watch(child, said["line"])
    line = socket.socket(fileno=said["line"])
    try:
        force = give_up(said)
    except OSError as error:
        sys.path.insert(0, said["folder"])
        from wire import send

        send(line, {"refused": f"{type(error).__name__}: {error}"})
        return
    sys.path.insert(0, said["folder"])
    sys.path.insert(0, os.path.join(said["folder"], "package"))
    os.chdir(os.path.join(said["folder"], "home"))
    from wire import receive, send

    if said["libraries"] is not None:
        sys.modules.update({name: Absent(name) for name in ("torch", "tensorflow", "jax")})
    if said["torch"]:
        import torch

        torch.set_num_threads(1)
        # PyTorch imports a good part of itself here: not in the time of a method
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    send(line, {"force": force})
    while True:
        try:
            asked, arrays = receive(line)
        except EOFError:
            return
        try:
            told, sent = DO[asked["do"]](asked, arrays)
        except NotImplementedError:
            told, sent = {"error": "NotImplementedError: it is not written yet"}, {}
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            text = str(error) if len(str(error)) < 400 else str(error)[:400] + " ..."
            told, sent = {"error": f"{type(error).__name__}: {text}", "where": where(error)}, {}
        send(line, told, sent)


def where(error) -> str:
    """The submission's own line that the error came from."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        name = os.path.basename(frame.filename)
        if name == "recurrent_layers.py" or frame.filename.startswith("cell "):
            return f"{name}, line {frame.lineno}"
    return ""


if __name__ == "__main__":
    main()
