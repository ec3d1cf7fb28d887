"""Training, exact evaluation, and a training that goes on where it stopped.

Those that are killed are in kill_and_interrupt.py.
"""

import itertools
import math

import pytest
import torch
from torch.utils.data import DataLoader

from blg561.errors import InputError
from blg561.language_model import checkpoints, training
from blg561.language_model.dataset import ContinuingRows, Dataset
from blg561.language_model.models import GatedModel, RNNModel
from blg561.language_model.training import TrainingDiverged, evaluate, train, train_one_epoch

CRITERION = torch.nn.CrossEntropyLoss()


def loaders(path, batch_size=6, seq_length=9):
    trainset, validset = Dataset(seq_length, path), Dataset(seq_length, path, train=False)
    return (
        DataLoader(trainset, batch_sampler=ContinuingRows(trainset, batch_size)),
        DataLoader(validset, batch_sampler=ContinuingRows(validset, 1)),
    )


def small_lstm(loader, **arguments):
    torch.manual_seed(0)
    return GatedModel(len(loader.dataset.unique_data), 8, 8, 1, 9, **arguments)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


# evaluation


@pytest.mark.parametrize("seq_length", [1, 7, 30, 140])
def test_evaluation_scores_every_token_once_after_all_before_it(text_file, seq_length):
    loader = loaders(text_file, seq_length=seq_length)[1]
    model = small_lstm(loader, dropout=0.3)
    text = loader.dataset.data
    model.eval()
    with torch.no_grad():  # the whole text in one piece
        logits, _ = model(text[None, :-1], model.initialize(1))
    expected = -torch.log_softmax(logits[0], 1)[torch.arange(140), text[1:]].mean()
    model.train()
    assert evaluate(model, CRITERION, loader) == pytest.approx(expected.item(), rel=1e-5)
    assert model.training


def test_a_uniform_model_has_the_perplexity_of_its_lexicon(text_file):
    loader = loaders(text_file)[1]
    model = small_lstm(loader)
    torch.nn.init.zeros_(model.output.weight)
    assert training.perplexity(evaluate(model, CRITERION, loader)) == pytest.approx(40, rel=1e-5)


def test_windows_of_a_plain_loader_start_from_the_zero_state(text_file):
    dataset = Dataset(9, text_file, train=False, stride=5)
    loader = DataLoader(dataset, batch_size=4)
    model = small_lstm(loader).eval()
    losses = []
    for data, target in dataset:
        logits, _ = model(data[None], model.initialize(1))
        losses.append(CRITERION(logits[0], target).item())
    assert evaluate(model, CRITERION, loader) == pytest.approx(sum(losses) / len(losses), rel=1e-5)


# one epoch


def test_an_epoch_is_truncated_bptt_with_the_state_carried(text_file):
    loader = loaders(text_file)[0]
    model, twin = small_lstm(loader, dropout=0.0), small_lstm(loader, dropout=0.0)
    loss = train_one_epoch(model, CRITERION, torch.optim.SGD(model.parameters(), 0.5), loader)

    state, losses, tokens = twin.initialize(6), [], 0
    for data, target in loader:
        state = tuple(s[:, : len(data)].detach().clone() for s in state)
        logits, state = twin(data, state)
        mean = CRITERION(logits.transpose(1, 2), target)
        share = target.numel() / (6 * 9)  # the last batches are shorter and count for less
        gradients = torch.autograd.grad(share * mean, list(twin.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                parameter -= 0.5 * gradient
        losses.append(mean.item() * target.numel())
        tokens += target.numel()
    assert tokens == len(loader.dataset.data) - 1
    assert loss == pytest.approx(sum(losses) / tokens, rel=1e-5)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_clipping_bounds_the_step(text_file):
    dataset = Dataset(559, text_file)
    loader = DataLoader(dataset, batch_sampler=ContinuingRows(dataset, 1))  # one batch, one step
    moved = {}
    for clip in (False, True):
        model = small_lstm(loader)
        before = torch.nn.utils.parameters_to_vector(model.parameters()).clone()
        log = training.new_log()
        optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
        train_one_epoch(model, CRITERION, optimizer, loader, log, 1, clip, 0.05)
        after = torch.nn.utils.parameters_to_vector(model.parameters())
        moved[clip] = (after - before).norm().item()
        assert log["gradient_norm"][0] > 0.1
        if not clip:
            assert moved[clip] == pytest.approx(2.0 * log["gradient_norm"][0], rel=1e-4)
    assert moved[True] == pytest.approx(2.0 * 0.05, rel=1e-3)


def test_log_has_an_entry_every_interval_and_at_the_end(text_file):
    loader = loaders(text_file)[0]
    log = training.new_log()
    model = small_lstm(loader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_one_epoch(model, CRITERION, optimizer, loader, log, 4)
    train_one_epoch(model, CRITERION, optimizer, loader, log, 4)
    assert len(loader) == 12
    assert log["step"] == [4, 8, 12, 16, 20, 24]
    assert len(log["step_loss"]) == len(log["gradient_norm"]) == 6


def test_bfloat16_computes_the_products_and_keeps_float32_weights(text_file):
    loader = loaders(text_file)[0]
    model = small_lstm(loader)
    seen = []
    model.output.register_forward_hook(lambda module, x, logits: seen.append(logits.dtype))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_one_epoch(model, CRITERION, optimizer, loader, precision="bfloat16")
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_divergence_is_caught_before_it_reaches_the_weights(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    good = train(trainloader, evalloader, model, optimizer, CRITERION, 1, folder=tmp_path)
    before = weights(model)

    class Criterion(torch.nn.CrossEntropyLoss):
        calls = itertools.count(1)

        def forward(self, logits, target):
            return super().forward(logits, target) * (math.nan if next(self.calls) == 5 else 1)

    Criterion.__name__ = type(CRITERION).__name__  # the training that went on had this one
    message = "model, epoch 2, batch 5: loss nan, gradient norm nan; the last checkpoint is .*model"
    with pytest.raises(TrainingDiverged, match=message):
        train(
            trainloader, evalloader, model, optimizer, Criterion(), 2, folder=tmp_path, resume=True
        )  # fmt: skip
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    kept, _ = checkpoints.load_model(tmp_path / "model.pt")
    assert all(torch.equal(kept.state_dict()[name], before[name]) for name in before)
    assert math.isfinite(good["train_loss"][0])


# a whole training


def test_history_schedule_and_checkpoint(text_file, tmp_path, capsys):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    log = train(
        trainloader, evalloader, model, optimizer, CRITERION, 5, True, 0.25, 4, scheduler,
        eval_interval=2, save_interval=2, model_name="small", folder=tmp_path,
    )  # fmt: skip
    assert log["epoch"] == [1, 2, 3, 4, 5]
    assert log["learning_rate"] == [1.0, 0.5, 0.25, 0.125, 0.0625]
    assert log["validation_epoch"] == [2, 4, 5]
    assert log["train_loss"][-1] < log["train_loss"][0] < math.log(40)
    assert capsys.readouterr().out.count("small: epoch") == 5
    saved, lexicon = checkpoints.load_model(tmp_path / "small.pt")
    assert lexicon == trainloader.dataset.unique_data
    assert evaluate(saved, CRITERION, evalloader) == log["validation_loss"][-1]


def test_plateau_scheduler_sees_the_validation_loss(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)  # learns nothing: a plateau
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.25, patience=0, threshold=1e-3, eps=0
    )
    arguments = (trainloader, evalloader, model, optimizer, CRITERION, 3)
    log = train(*arguments, scheduler=scheduler, folder=tmp_path)
    assert log["learning_rate"] == pytest.approx([1e-9, 1e-9, 2.5e-10])


@pytest.mark.parametrize(("interval", "evaluated"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5])])
def test_a_plateau_scheduler_sees_each_loss_once(
    text_file, tmp_path, monkeypatch, interval, evaluated
):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    seen = []
    monkeypatch.setattr(scheduler, "step", seen.append)
    log = train(
        trainloader, evalloader, model, optimizer, CRITERION, 5,
        scheduler=scheduler, folder=tmp_path, eval_interval=interval,
    )  # fmt: skip
    assert log["validation_epoch"] == evaluated and seen == log["validation_loss"]
    assert len(set(seen)) == len(evaluated)


def test_what_diverged_does_not_claim_the_file_it_would_have_replaced(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    arguments = trainloader, evalloader, model
    train(*arguments, torch.optim.SGD(model.parameters(), lr=0.1), CRITERION, 1, folder=tmp_path)
    hopeless = torch.optim.AdamW(model.parameters(), lr=1e30)
    with pytest.raises(TrainingDiverged, match="no checkpoint is left of it"):
        train(*arguments, hopeless, CRITERION, 1, folder=tmp_path, overwrite=True)


@pytest.mark.parametrize("missing", ["random_state", "log", "recipe", "precision"])
def test_a_checkpoint_without_what_a_training_needs_is_named(text_file, tmp_path, missing):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    arguments = trainloader, evalloader, model, optimizer, CRITERION, 2
    train(*arguments, folder=tmp_path)
    contents = checkpoints.load(tmp_path / "model.pt")
    del contents[missing]
    checkpoints.save(tmp_path / "model.pt", contents)
    with pytest.raises(
        checkpoints.CheckpointError, match=f"cannot go on: its {missing} is missing"
    ):
        train(*arguments, folder=tmp_path, resume=True)


def test_an_epoch_is_kept_before_it_is_told_of(text_file, tmp_path, monkeypatch):
    """Nobody may be reading any more."""

    def closed(*arguments, **options):
        raise BrokenPipeError

    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monkeypatch.setattr("builtins.print", closed)
    with pytest.raises(BrokenPipeError):
        train(trainloader, evalloader, model, optimizer, CRITERION, 2, folder=tmp_path)
    assert checkpoints.load(tmp_path / "model.pt")["log"]["epoch"] == [1]


@pytest.mark.parametrize("changed", ["order", "stride", "criterion"])
def test_a_training_in_another_order_or_with_another_loss_is_another_one(
    text_file, tmp_path, changed
):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(trainloader, evalloader, model, optimizer, CRITERION, 1, folder=tmp_path)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.3 * (changed == "criterion"))
    if changed == "order":
        trainloader = DataLoader(trainloader.dataset, batch_size=6, shuffle=True)
    if changed == "stride":
        trainloader.dataset.stride = 3
    with pytest.raises(checkpoints.CheckpointError, match=f"another training: it had {changed}"):
        train(trainloader, evalloader, model, optimizer, criterion, 2, folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(grad_clip=True, clip_val=0.0), "clip_val must be above 0, got 0.0"),
        (dict(precision="bf16"), "precision must be one of float32, bfloat16, got 'bf16'"),
        (dict(log_interval=0), "log_interval must be at least 1, got 0"),
    ],
)
def test_an_epoch_with_bad_arguments_is_refused(text_file, arguments, message):
    loader = loaders(text_file)[0]
    model = small_lstm(loader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=message):
        train_one_epoch(model, CRITERION, optimizer, loader, **arguments)


def test_a_model_is_in_training_again_after_an_evaluation_that_broke_off(text_file):
    loader = loaders(text_file)[1]
    model = small_lstm(loader)

    def interrupted(logits, target):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(model, interrupted, loader)
    assert model.training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"nepoch": 0}, "nepoch must be at least 1, got 0"),
        ({"save_interval": 0}, "save_interval must be at least 1"),
        ({"precision": "half"}, "precision must be .* got 'half'"),
        ({"grad_clip": True, "clip_val": -1.0}, "clip_val must be above 0, got -1.0"),
        ({"average_decay": 1.5}, r"decay value 1\.5 .* range"),
    ],
)
def test_bad_arguments_are_refused_before_training(text_file, tmp_path, arguments, message):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=message):
        train(
            trainloader, evalloader, model, optimizer, CRITERION,
            **{"nepoch": 1, "folder": tmp_path} | arguments,
        )  # fmt: skip
    assert not list(tmp_path.glob("*.pt"))


def test_the_running_mean_of_the_weights_is_what_is_evaluated_and_kept(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader, tie_weights=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    steps = []
    optimizer.register_step_post_hook(lambda *_: steps.append(weights(model)))
    log = train(
        trainloader, evalloader, model, optimizer, CRITERION, 2,
        folder=tmp_path, precision="float32", average_decay=0.9,
    )  # fmt: skip
    assert len(steps) == 2 * len(trainloader)
    for name, found in model.state_dict().items():
        mean = steps[0][name]
        for step in steps[1:]:
            mean = 0.9 * mean + (1 - 0.9) * step[name]
        torch.testing.assert_close(found, mean)
        assert not torch.allclose(found, steps[-1][name])
    assert evaluate(model, CRITERION, evalloader) == log["validation_loss"][-1]
    kept, _ = checkpoints.load_model(tmp_path / "model.pt")
    assert evaluate(kept, CRITERION, evalloader) == log["validation_loss"][-1]


# interruption


def test_resuming_keeps_the_precision_it_had(text_file, tmp_path, monkeypatch):
    trainloader, evalloader = loaders(text_file)
    used = []
    real = training.train_one_epoch
    monkeypatch.setattr(
        training,
        "train_one_epoch",
        lambda *a, **k: used.append(k["precision"]) or real(*a, **k),
    )

    def run(machine, precision="auto"):
        model = small_lstm(trainloader)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        monkeypatch.setattr(training, "default_precision", lambda device: machine)
        train(
            trainloader, evalloader, model, optimizer, CRITERION, 2,
            folder=tmp_path, resume=True, precision=precision,
        )  # fmt: skip

    monkeypatch.setattr(training, "save_training", stop_after_first(training.save_training))
    with pytest.raises(KeyboardInterrupt):
        run("bfloat16")
    with pytest.raises(InputError, match="was trained in bfloat16, and cannot go on in float32"):
        run("float32", "float32")
    run("float32")  # a machine with another processor
    assert used == ["bfloat16", "bfloat16"]
    assert checkpoints.load(tmp_path / "model.pt")["precision"] == "bfloat16"


def stop_after_first(save):
    calls = []

    def wrapped(*arguments):
        save(*arguments)
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt

    return wrapped


def test_resume_refuses_another_training(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)

    def run(model, lr=0.1, loader=trainloader, **options):
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        options |= dict(folder=tmp_path, resume=True)
        train(loader, evalloader, model, optimizer, CRITERION, 1, **options)

    run(small_lstm(trainloader))
    with pytest.raises(checkpoints.CheckpointError, match=r"optimizer.*0\.1.*now.*0\.2"):
        run(small_lstm(trainloader), lr=0.2)
    with pytest.raises(checkpoints.CheckpointError, match=r"GatedModel.*now.*RNNModel"):
        run(RNNModel(40, 8, 8, 1, 9))
    with pytest.raises(checkpoints.CheckpointError, match=r"average_decay None, now 0\.9"):
        run(small_lstm(trainloader), average_decay=0.9)
    other = tmp_path / "other.txt"
    other.write_text(text_file.read_text().replace("w1 ", "new "))
    with pytest.raises(checkpoints.CheckpointError, match="another book: the lexicons differ"):
        run(small_lstm(trainloader), loader=loaders(other)[0])


def test_a_training_without_a_schedule_can_be_made_longer(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)

    def run(nepoch, folder, schedule=False, **options):
        model = small_lstm(trainloader)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        falls = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, nepoch) if schedule else None
        options |= dict(scheduler=falls, precision="float32")
        train(
            trainloader, evalloader, model, optimizer, CRITERION, nepoch,
            folder=tmp_path / folder, **options,
        )  # fmt: skip
        return weights(model)

    run(2, "longer")
    longer = run(3, "longer", resume=True)
    whole = run(3, "whole")
    assert all(torch.equal(longer[name], whole[name]) for name in whole)
    with pytest.raises(InputError, match="has 3 epochs already: expected at least as many, got 2"):
        run(2, "longer", resume=True)
    run(2, "falling", schedule=True)
    with pytest.raises(checkpoints.CheckpointError, match=r"T_max': 2.*, now .*T_max': 3"):
        run(3, "falling", schedule=True, resume=True)


def test_what_is_there_is_kept_unless_it_is_to_be_replaced(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)

    def run(seed, **options):
        torch.manual_seed(seed)
        model = GatedModel(40, 8, 8, 1, 9)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train(trainloader, evalloader, model, optimizer, CRITERION, 1, folder=tmp_path, **options)
        return (tmp_path / "model.pt").read_bytes()

    first = run(0)
    with pytest.raises(
        InputError, match=r"model\.pt exists: resume=True goes on .* overwrite=True"
    ):
        run(1)
    assert (tmp_path / "model.pt").read_bytes() == first
    assert run(1, overwrite=True) != first


def test_a_place_that_cannot_be_written_is_noticed_before_the_first_step(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    before = weights(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"cannot write .*file.model\.pt"):
        train(trainloader, evalloader, model, optimizer, CRITERION, 1, folder=tmp_path / "file")
    assert all(torch.equal(value, before[name]) for name, value in weights(model).items())


def test_a_checkpoint_of_the_first_version_is_not_trained_further(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    arguments = trainloader, evalloader, model, optimizer, CRITERION
    train(*arguments, 1, folder=tmp_path)
    contents = checkpoints.load(tmp_path / "model.pt")
    torch.save(contents | {"format": checkpoints.EARLIER}, tmp_path / "model.pt")
    with pytest.raises(checkpoints.CheckpointError, match="earlier version, whose lexicon"):
        train(*arguments, 2, folder=tmp_path, resume=True)


# what is not a number, and what is one but hopeless


def hooked(loader, norm=1.0, loss=1.0):
    """A network whose gradient or loss is multiplied in training, from the third batch on."""
    model = small_lstm(loader)
    calls = iter(range(1, 1000))
    model.output.bias.register_hook(lambda g: g * (norm if next(calls) >= 3 else 1.0))
    seen = iter(range(1, 1000))
    criterion = torch.nn.CrossEntropyLoss()

    def scaled(logits, target):
        return criterion(logits, target) * (loss if next(seen) >= 3 else 1.0)

    return model, scaled


@pytest.mark.parametrize("bad", [dict(norm=math.inf), dict(loss=math.inf), dict(loss=1e6)])
def test_an_epoch_ends_before_the_step_that_would_ruin_the_weights(text_file, bad):
    loader = loaders(text_file)[0]
    model, criterion = hooked(loader, **bad)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    steps = []
    optimizer.register_step_post_hook(lambda *_: steps.append(weights(model)))
    with pytest.raises(TrainingDiverged, match=r"batch 3: loss .*, gradient norm"):
        train_one_epoch(model, criterion, optimizer, loader)
    assert len(steps) == 2
    assert all(torch.equal(value, steps[-1][name]) for name, value in weights(model).items())


def test_an_absurd_learning_rate_is_no_success(text_file, tmp_path):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e30)
    with pytest.raises(TrainingDiverged, match="no checkpoint is left"):
        train(trainloader, evalloader, model, optimizer, CRITERION, 1, folder=tmp_path)


def test_a_validation_loss_that_is_not_a_number_ends_the_training(text_file, tmp_path, monkeypatch):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monkeypatch.setattr(
        training,
        "evaluate",
        lambda model, criterion, loader, log: log["validation_loss"].append(math.nan),
    )
    with pytest.raises(TrainingDiverged, match="epoch 1, validation loss nan; no checkpoint"):
        train(trainloader, evalloader, model, optimizer, CRITERION, 1, folder=tmp_path)


def test_each_entry_of_the_log_has_the_largest_norm_since_the_one_before(text_file):
    loader = loaders(text_file)[0]
    model = small_lstm(loader)
    norms = []
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def norm_now(*_):
        squares = sum(p.grad.square().sum().item() for p in model.parameters())
        norms.append(squares**0.5)

    optimizer.register_step_pre_hook(norm_now)
    log = training.new_log()
    train_one_epoch(model, CRITERION, optimizer, loader, log, 4)
    expected = [max(norms[start : start + 4]) for start in (0, 4, 8)]
    assert log["gradient_norm"] == pytest.approx(expected)
    assert max(norms) > min(expected)  # a maximum that is never reset would show


# arithmetic


def test_bfloat16_products_leave_a_float32_state(text_file):
    loader = loaders(text_file)[0]
    model = small_lstm(loader)
    states = []
    model.register_forward_pre_hook(lambda module, inputs: states.append(inputs[1]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_one_epoch(model, CRITERION, optimizer, loader, precision="bfloat16")
    assert {part.dtype for state in states for part in state} == {torch.float32}


@pytest.mark.parametrize(
    ("capability", "instructions", "expected"),
    [
        ("AVX512", True, "bfloat16"),
        ("AVX512", False, "float32"),
        ("AVX2", True, "float32"),
        ("DEFAULT", False, "float32"),
    ],
)
def test_the_precision_is_what_the_processor_multiplies(
    monkeypatch, capability, instructions, expected
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    assert training.default_precision("cpu") == expected


def test_the_training_is_in_the_precision_that_is_asked_for_and_kept(
    text_file, tmp_path, monkeypatch
):
    trainloader, evalloader = loaders(text_file)
    model = small_lstm(trainloader)
    seen = set()
    model.output.register_forward_hook(
        lambda module, x, logits: seen.add(logits.dtype) if module.training else None
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    arguments = trainloader, evalloader, model, optimizer, CRITERION, 1
    for precision, dtype in [("bfloat16", torch.bfloat16), ("float32", torch.float32)]:
        seen.clear()
        train(*arguments, folder=tmp_path, precision=precision, overwrite=True)
        assert seen == {dtype}
        assert checkpoints.load(tmp_path / "model.pt")["precision"] == precision


# what a checkpoint says of its training


def test_a_training_is_described_by_all_that_decides_it(text_file):
    loader = loaders(text_file)[0]
    model = small_lstm(loader, dropout=0.3, weight_drop=0.2)
    groups = [{"params": model.embedding.parameters()}]
    groups += [{"params": model.layers.parameters(), "lr": 0.5}]
    optimizer = torch.optim.AdamW(groups, lr=0.1, eps=1e-5, betas=(0.8, 0.9), weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7, 0.02)
    torch.manual_seed(11)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.3)
    found = training.describe(loader, model, optimizer, criterion, scheduler, True, 0.25)
    assert found["network"] == {"class": "GatedModel", **model.arguments}
    assert found["network"]["dropout"] == 0.3 and found["network"]["weight_drop"] == 0.2
    settings = dict(lr=0.1, eps=1e-5, betas=(0.8, 0.9), weight_decay=0.01)
    assert found["optimizer"].items() >= dict(settings, **{"class": "AdamW"}).items()
    assert found["learning_rates"] == [0.1, 0.5]
    falls = dict(T_max=7, eta_min=0.02, **{"class": "CosineAnnealingLR"})
    assert found["scheduler"] == falls
    rest = dict(seed=11, clipping=0.25, batch_size=6, seq_length=9, training_tokens=559)
    assert found.items() >= rest.items()
    smoothed = {"class": "CrossEntropyLoss", "label_smoothing": 0.3}
    assert found["criterion"].items() >= smoothed.items()
    assert found["order"] == "ContinuingRows" and found["stride"] == 1
    others = {"network", "optimizer", "learning_rates", "scheduler", "criterion", "order", "stride"}
    assert set(found) == {*others, *rest}
    unclipped = training.describe(loader, model, optimizer, criterion, None, False, 0.25)
    assert unclipped["clipping"] is None and unclipped["scheduler"] is None
