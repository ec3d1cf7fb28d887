"""Submissions for the grader, made from the handout and the package each time they are needed."""

import inspect
import json
import re
from pathlib import Path

from blg561.assignment import handout, settings
from blg561.language_model import dataset

PACKAGE = handout.PACKAGE


def source(path: str) -> str:
    return (PACKAGE / path).read_text(encoding="utf-8")


LAYERS = source("layer/recurrent_layers.py")


def changed(text: str, right: str, wrong: str, where: str = "") -> str:
    """`text` with one line edited: the first with `right` in it after the place `where`."""
    start = text.index(where)
    at = text.index(right, start)
    return text[:at] + wrong + text[at + len(right) :]


FORWARD = '        x = self.check("x", x, "N T D")\n'
RNN = "class RNNLayer"


def in_forward(code: str, before: str = "") -> str:
    """The solution with statements that RNNLayer.forward begins with, and some before the class."""
    text = changed(
        LAYERS, FORWARD, "".join(f"        {line}\n" for line in code.splitlines()) + FORWARD, RNN
    )
    return text.replace("\n\nclass RNNLayer", f"\n{before}\n\nclass RNNLayer", 1)


def without_own_imports(text: str) -> str:
    """A module's source without its docstring, its __future__ and its imports of the package."""
    ours = r"from (__future__|blg561\.language_model(\.(models|transformer|checkpoints))?) import"
    return "".join(line for line in text.splitlines(keepends=True) if not re.match(ours, line))


def solution_of_models() -> str:
    """models.py in one cell, with the blocks that it needs of transformer.py."""
    files = "language_model/transformer.py", "language_model/models.py"
    return "".join(without_own_imports(source(path)) for path in files)


def solution_of_training() -> str:
    """training.py in one cell, with what it needs of checkpoints.py and softmax.py."""
    from blg561.language_model import checkpoints, softmax

    pieces = [
        "import contextlib\nimport io\nimport os\nfrom pathlib import Path\n",
        "import torch\nfrom torch import nn\n",
        inspect.getsource(softmax.sampled_loss),
        *map(inspect.getsource, (checkpoints.CheckpointError, checkpoints.save)),
        inspect.getsource(checkpoints.model_contents),
        f'FORMAT = "{checkpoints.FORMAT}"\n',
        "class checkpoints:\n    FORMAT = FORMAT\n    save = staticmethod(save)\n"
        "    model_contents = staticmethod(model_contents)\n",
        without_own_imports(source("language_model/training.py")),
    ]
    # a processor that multiplies bfloat16 would give other digits than the grader's float32
    text = "".join(pieces).replace('precision="auto",', 'precision="float32",')
    for line in (
        "from blg561.errors import InputError\n",
        "from blg561.language_model.softmax import sampled_loss\n",
    ):
        text = text.replace(line, "")
    return "from blg561.errors import InputError\n" + text.replace("models.LanguageModel", "object")


def solutions() -> dict[str, str]:
    """What fills each gap of the notebook, by the name that the gap defines."""
    training = solution_of_training()
    return {
        "Dataset": "\n".join(
            [
                "from __future__ import annotations",
                "import copy",
                "from blg561.errors import InputError",
                inspect.getsource(dataset.Dataset),
            ]
        ),
        "RNNModel": solution_of_models(),
        "GatedModel": "pass",
        "train_one_epoch": training,
        "evaluate": "pass",
        "train": "pass",
        "generate": without_own_imports(source("language_model/generation.py")),
    }


def notebook(fill: dict[str, str], answers: tuple[str, ...] = ()) -> dict:
    """The handout's notebook with some gaps filled."""
    made = json.loads(handout.notebook(handout.in_words(settings.load())))
    for cell in made["cells"]:
        text = "".join(cell["source"])
        tags = cell["metadata"].get("tags", [])
        if "gap" in tags:
            name = re.search(r"(?:class|def) (\w+)", text).group(1)
            cell["source"] = fill.get(name, text)
        for number, answer in enumerate(answers, start=1):
            if f"answer-{number}" in tags:
                cell["source"] = answer
    return made


def submission(folder: Path, layers: str = LAYERS, fill: dict | None = None, **more) -> Path:
    """A folder to hand in; `more`: file name → bytes or text, for what comes besides."""
    layer_file = folder / "blg561/layer/recurrent_layers.py"
    layer_file.parent.mkdir(parents=True)
    layer_file.write_text(layers, encoding="utf-8")
    if fill is not None:
        (folder / "LanguageModelling.ipynb").write_text(json.dumps(notebook(fill)), "utf-8")
    return folder


def layers_alone(tmp_path: Path, name: str, text: str | bytes = LAYERS) -> Path:
    """A folder of that name to hand in, with the layers' file and nothing else."""
    path = tmp_path / name / "recurrent_layers.py"
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path.parent


def said_for(*parts: str, seconds: float = 3) -> dict:
    """What is asked for: those parts of the assignment, within limits that end a test soon."""
    said = settings.load()
    said["parts"] = list(parts)
    said["limits"] |= {"seconds_for_a_method": seconds, "submission_mib": 20, "memory_gib": 2}
    return said
