"""Files of networks: what was saved comes back, what is not ours is refused."""

import os
import pickle
import zipfile

import pytest
import torch

from blg561.language_model import checkpoints
from blg561.language_model.checkpoints import CheckpointError
from blg561.language_model.models import GatedModel, RNNModel

LEXICON = ["the", "sea", ".", "ship"]


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = GatedModel(4, 6, 6, 2, tie_weights=True, cell="gru")
    path = tmp_path / "model.pt"
    checkpoints.save(path, checkpoints.model_contents(model, LEXICON))
    return path, model


def test_network_and_lexicon_come_back(saved):
    path, model = saved
    loaded, lexicon = checkpoints.load_model(path)
    assert lexicon == LEXICON and not loaded.training
    assert loaded.arguments == model.arguments
    words = torch.tensor([[0, 1, 3, 2]])
    model.eval()
    assert torch.equal(loaded(words, loaded.initialize(1))[0], model(words, model.initialize(1))[0])


def test_every_damaged_byte_range_is_noticed(saved, tmp_path):
    path, _ = saved
    whole = path.read_bytes()
    start = whole.index(b"\x3c", 1000)  # anywhere inside the stored weights will do
    for name, content in {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "tail": whole[:-10],
        "flipped": whole[:start] + bytes([whole[start] ^ 1]) + whole[start + 1 :],
        "page": b"<!doctype html><title>404</title>",
    }.items():
        damaged = tmp_path / f"{name}.pt"
        damaged.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{name}.pt is damaged"):
            checkpoints.load(damaged)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nowhere.pt"):
        checkpoints.load(tmp_path / "nowhere.pt")
    with pytest.raises(CheckpointError, match=r"is a folder: expected the file of a checkpoint"):
        checkpoints.load(tmp_path)
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        archive.writestr("program/constants.pkl", b"")
    with pytest.raises(CheckpointError, match="is a TorchScript file"):
        checkpoints.load(tmp_path / "program.pt")
    torch.save({"weights": torch.ones(3)}, tmp_path / "foreign.pt")
    with pytest.raises(CheckpointError, match="PyTorch file, but not a checkpoint"):
        checkpoints.load(tmp_path / "foreign.pt")


class Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_code_in_a_file_is_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": checkpoints.FORMAT, "weights": Payload()}, "evil.pt")
    (tmp_path / "evil.pickle").write_bytes(pickle.dumps(Payload()))
    for name, message in [("evil.pt", "holds pickled Python objects"), ("evil.pickle", "damaged")]:
        with pytest.raises(CheckpointError, match=message) as caught:
            checkpoints.load(tmp_path / name)
        assert "weights_only" not in str(caught.value)  # torch's advice to run what is in it
    assert not (tmp_path / "executed").exists()


def test_contents_that_do_not_fit_together(tmp_path):
    contents = checkpoints.model_contents(RNNModel(4, 6, 6), LEXICON)
    spoilt = contents["weights"] | {"output.bias": torch.full((4,), torch.nan)}
    for change, message in [
        ({"class": "Transformer"}, "does not describe a network of ours"),
        ({"arguments": contents["arguments"] | {"hidden_size": 7}}, "does not describe"),
        ({"lexicon": LEXICON[:3]}, "holds 3 words for a network of 4"),
        ({"lexicon": None}, "is a checkpoint without lexicon"),
        ({"lexicon": 5}, "has a lexicon that is no list of words"),
        ({"lexicon": [0, 1, 2, 3]}, "has a lexicon that is no list of words"),
        ({"lexicon": "abcd"}, "has a lexicon that is no list of words"),
        ({"lexicon": ["a", "b", "c", "b"]}, "in which a word stands twice: 'b'"),
        ({"weights": {1: 2}}, "does not describe a network of ours"),
        ({"weights": spoilt}, "has weights that are no finite numbers, in output.bias"),
    ]:
        changed = {name: value for name, value in (contents | change).items() if value is not None}
        checkpoints.save(tmp_path / "x.pt", changed)
        with pytest.raises(CheckpointError, match=message):
            checkpoints.load_model(tmp_path / "x.pt")


def test_a_network_of_the_first_version_still_loads(tmp_path):
    """What version 1 wrote for the network of lesson 5, down to the name of its class."""
    torch.manual_seed(0)
    model = GatedModel(4, 6, 6, 2, tie_weights=True, weight_drop=0.4, input_dropout=0.1)
    arguments = dict(
        ntoken=4, embed_size=6, hidden_size=6, hidden_layers=2, seq_length=20, dropout=0.0,
        tie_weights=True, embedding_dropout=0.1, cell="lstm", input_dropout=0.4,
        hidden_dropout=0.3, output_dropout=0.5, weight_drop=0.4,
    )  # fmt: skip
    contents = {"class": "RegularisedLSTM", "arguments": arguments, "lexicon": LEXICON}
    contents |= {"format": checkpoints.EARLIER, "weights": model.state_dict()}
    torch.save(contents, tmp_path / "old.pt")
    loaded, lexicon = checkpoints.load_model(tmp_path / "old.pt")
    assert type(loaded) is GatedModel and lexicon == LEXICON
    assert [drop.p for drop in loaded.dropouts] == [0.4, 0.3, 0.5] and loaded.weight_drop == 0.4
    words = torch.tensor([[0, 1, 3, 2]])
    model.eval()
    assert torch.equal(loaded(words, loaded.initialize(1))[0], model(words, model.initialize(1))[0])


def test_two_processes_do_not_write_into_each_others_file(saved, monkeypatch):
    """The other one, whose number is 1, is half through when this one is."""
    path, _ = saved
    theirs = path.with_name(f"{path.name}.1.partial")
    theirs.write_bytes(b"the first half")
    checkpoints.save(path, {"weights": {}})
    assert theirs.read_bytes() == b"the first half"
    monkeypatch.setattr(checkpoints.os, "getpid", lambda: 1)
    monkeypatch.setattr(checkpoints.os, "replace", lambda partial, path: None)
    checkpoints.save(path, {"weights": {}})
    assert theirs.read_bytes() != b"the first half"


def test_a_failed_write_keeps_the_old_file(saved, monkeypatch):
    path, _ = saved
    before = path.read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full_disk)
    with pytest.raises(CheckpointError, match="cannot be written: No space"):
        checkpoints.save(path, {"weights": {}})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
