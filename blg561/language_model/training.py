"""Training and exact evaluation of a language model; an interrupted training goes on."""

from __future__ import annotations

import math
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from blg561.errors import InputError, TrainingDiverged
from blg561.language_model import checkpoints
from blg561.language_model.checkpoints import CheckpointError
from blg561.language_model.models import evaluating, map_state
from blg561.language_model.softmax import sampled_loss

PRECISIONS = "float32", "bfloat16"
HOPELESS = 10  # times the loss of uniform guessing: what no training comes back from


def new_log() -> dict:
    """An empty history: a dict of lists, filled by `train_one_epoch`, `evaluate` and `train`.

    Per `log_interval` batches: `step`, `step_loss` (mean since the last entry, nats per token)
    and `gradient_norm` (largest since the last entry, before clipping). Per epoch: `epoch`,
    `train_loss`, `learning_rate`, `seconds`. Per evaluation: `validation_epoch`,
    `validation_loss`.
    """
    names = "step step_loss gradient_norm epoch train_loss learning_rate seconds"
    return {name: [] for name in (names + " validation_epoch validation_loss").split()}


def train_one_epoch(
    model,
    criterion,
    optimizer,
    dataloader,
    log=None,
    log_interval=10,
    grad_clip=False,
    clip_val=0.25,
    *,
    precision="float32",
    sampled_words=None,
) -> float:
    """One pass over `dataloader`; the mean training loss in nats per token.

    Under `ContinuingRows` the state is carried from batch to batch, without its gradient
    (truncated backpropagation through time); under any other sampler every window starts from
    the zero state. A batch shorter than the longest one has a smaller weight, in proportion to its
    words. The gradient's norm is clipped to `clip_val` if `grad_clip`. `precision`
    "bfloat16" computes the matrix products of forward and backward in that type. With
    `sampled_words` the loss is `softmax.sampled_loss` with that many words, not `criterion`.

    Raises TrainingDiverged before a step that would put numbers into the weights that are not
    finite, or where the loss is HOPELESS times that of uniform guessing, and ValueError for a
    `clip_val` that is not above 0, a `log_interval` below 1, another precision, and no batches.
    """
    check_clipping(grad_clip, clip_val)
    check_precision(precision)
    if log_interval < 1:
        raise ValueError(f"log_interval must be at least 1, got {log_interval}")
    if not len(dataloader):
        raise ValueError("dataloader: expected at least one batch, got none")
    log = new_log() if log is None else log
    parameters = list(model.parameters())
    device = parameters[0].device
    steps_before = log["step"][-1] if log["step"] else 0
    total, tokens, full_batch = 0.0, 0, 0
    recent, largest_norm = [], 0.0
    state = None
    model.train()
    bar = tqdm(dataloader, leave=False, unit="batch", disable=None)  # None: only in a terminal
    for batch, (data, target) in enumerate(bar, start=1):
        data, target = data.to(device), target.to(device)
        state = next_state(model, dataloader, state, len(data))
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            if sampled_words is None:
                logits, state = model(data, state)
                loss = criterion(logits.flatten(0, 1), target.flatten())
            else:
                hidden, state = model.read(data, state)
                hidden = hidden.flatten(0, 1)
                loss = sampled_loss(model.output, hidden, target.flatten(), sampled_words)
        full_batch = max(full_batch, target.numel())
        optimizer.zero_grad()
        # the few words at the end of the rows would be a noisy step: they count by their number
        (loss * (target.numel() / full_batch)).backward()
        limit = clip_val if grad_clip else math.inf
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)  # (LM.5)
        loss, norm = loss.item(), norm.item()
        if not (math.isfinite(norm) and is_bearable(loss, model.output.out_features)):
            raise TrainingDiverged(f"batch {batch}: loss {loss:.6g}, gradient norm {norm:.6g}")
        optimizer.step()

        total += loss * target.numel()
        tokens += target.numel()
        recent.append(loss)
        largest_norm = max(largest_norm, norm)
        if batch % log_interval == 0 or batch == len(dataloader):
            log["step"].append(steps_before + batch)
            log["step_loss"].append(sum(recent) / len(recent))
            log["gradient_norm"].append(largest_norm)
            mean = total / tokens
            bar.set_postfix(loss=f"{mean:.3f}", perplexity=f"{perplexity(mean):.1f}")
            recent, largest_norm = [], 0.0
    return total / tokens


@torch.no_grad()
def evaluate(model, criterion, dataloader, log=None) -> float:
    """Mean loss of every target in `dataloader`, in nats per token; exp of it is the perplexity.

    In float32 and without dropout. With `ContinuingRows(dataset, 1)` each token of the part is
    scored exactly once, after all the text before it.
    """
    device = next(model.parameters()).device
    total, tokens = 0.0, 0
    state = None
    with evaluating(model):
        for data, target in dataloader:
            data, target = data.to(device), target.to(device)
            state = next_state(model, dataloader, state, len(data))
            logits, state = model(data, state)
            total += criterion(logits.flatten(0, 1), target.flatten()).item() * target.numel()
            tokens += target.numel()
    if log is not None:
        log["validation_loss"].append(total / tokens)
    return total / tokens  # (LM.1)


def next_state(model, dataloader, state, rows: int):
    """The state before the next batch: the last one, detached, where the text goes on."""
    if state is None or not getattr(dataloader.batch_sampler, "carries_state", False):
        return model.initialize(rows)
    # contiguous, because the last batch may hold fewer rows; float, because autocast may not
    return map_state(lambda s: s[:, :rows].detach().float().contiguous(), state)


def is_bearable(loss: float, ntoken: int) -> bool:
    """Whether a loss in nats per token is finite and not HOPELESS; uniform guessing has ln V."""
    return loss < HOPELESS * math.log(max(ntoken, 2))  # False for NaN, too


def perplexity(loss: float) -> float:
    """exp of a mean loss in nats per token; infinite where that overflows."""
    return math.exp(loss) if loss < 700 else math.inf  # (LM.2)


def train(
    trainloader,
    evalloader,
    model,
    optimizer,
    criterion,
    nepoch,
    grad_clip=False,
    clip_val=0.25,
    log_interval=10,
    scheduler=None,
    eval_during_train=True,
    eval_interval=1,
    save_interval=1,
    model_name="model",
    *,
    folder="models",
    resume=False,
    overwrite=False,
    precision="auto",
    average_decay=None,
    sampled_words=None,
) -> dict:
    """Train for `nepoch` epochs, evaluating and saving as it goes; the history as in `new_log`.

    Every `save_interval` epochs, and after the last, `folder/model_name.pt` is written with all
    that a new process needs to go on: with `resume=True` and that file present, training
    continues after its last epoch and ends with the very weights that it would have had without
    the interruption. Without `resume` a file that is there is kept, and an error, unless
    `overwrite` is true. `scheduler.step()` is called after every epoch, of ReduceLROnPlateau after
    every evaluation, with its loss. `precision` is "float32", "bfloat16", or "auto" for
    `default_precision`; a resumed training keeps the one it had.

    With `average_decay`, a number from 0 to 1, a running mean of the weights is kept: each step
    multiplies it by the decay and adds (1 - decay) times the new weights. It is the mean that is
    evaluated, that the checkpoint gives as the network, and that `model` has when training ends.

    With `sampled_words` the training loss is `softmax.sampled_loss`; the evaluation stays exact.

    The seed decides a training together with the epochs after which it is evaluated: whoever goes
    through a DataLoader, as an evaluation does, takes one of PyTorch's random numbers.

    Raises TrainingDiverged where a loss or gradient is not finite or the loss hopeless (names
    epoch, batch, gradient norm and the checkpoint that is left), CheckpointError where `resume`
    found a damaged file or one of another training, InputError, before anything is trained, for a
    file that is there already or a folder that cannot be written, and ValueError for an interval or
    a number of epochs or words below 1, a `clip_val` that is not above 0, an unknown precision, or
    a decay outside [0, 1].
    """
    for name, value in dict(
        nepoch=nepoch,
        log_interval=log_interval,
        eval_interval=eval_interval,
        save_interval=save_interval,
        sampled_words=1 if sampled_words is None else sampled_words,
    ).items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    check_clipping(grad_clip, clip_val)
    check_precision(precision, "auto")
    path = Path(folder) / f"{model_name}.pt"
    check_place(path, resume, overwrite)
    lexicon = trainloader.dataset.unique_data
    recipe = describe(trainloader, model, optimizer, criterion, scheduler, grad_clip, clip_val)
    recipe |= {"average_decay": average_decay, "sampled_words": sampled_words}
    average = None if average_decay is None else start_average(model, average_decay)
    evaluated = model if average is None else average.module
    log = new_log()
    saved = resume and path.exists()  # whether the file at `path` is of this training
    if saved:
        log, kept = restore(path, model, average, optimizer, scheduler, lexicon, recipe)
        check_continuation(path, log, nepoch, kept, precision)
        precision = kept
        print(f"{model_name}: resumed after epoch {len(log['epoch'])} of {nepoch}")
    elif precision == "auto":
        precision = default_precision(model.output.weight.device)

    for epoch in range(len(log["epoch"]) + 1, nepoch + 1):
        start = time.perf_counter()
        learning_rate = optimizer.param_groups[0]["lr"]
        try:
            with following(average, model, optimizer):
                loss = train_one_epoch(
                    model, criterion, optimizer, trainloader, log, log_interval, grad_clip,
                    clip_val, precision=precision, sampled_words=sampled_words,
                )  # fmt: skip
            seconds = time.perf_counter() - start
            if eval_during_train and (epoch % eval_interval == 0 or epoch == nepoch):
                evaluate(evaluated, criterion, evalloader, log)
                log["validation_epoch"].append(epoch)
                if not is_bearable(log["validation_loss"][-1], len(lexicon)):
                    raise TrainingDiverged(f"validation loss {log['validation_loss'][-1]:.6g}")
        except TrainingDiverged as error:
            kept = f"the last checkpoint is {path}" if saved else "no checkpoint is left of it"
            raise TrainingDiverged(
                f"{model_name}, epoch {epoch}, {error}; {kept}. "
                "A smaller learning rate, or clipping the gradient, prevents this."
            ) from None
        step_scheduler(scheduler, epoch, log)
        log["epoch"].append(epoch)
        log["train_loss"].append(loss)
        log["learning_rate"].append(learning_rate)
        log["seconds"].append(seconds)
        if epoch % save_interval == 0 or epoch == nepoch:
            save_training(
                path, model, average, optimizer, scheduler, lexicon, recipe, log, nepoch, precision
            )
            saved = True
        print(progress_line(model_name, nepoch, log), flush=True)
    if average is not None:
        model.load_state_dict(average.module.state_dict())
    return log


def check_clipping(grad_clip: bool, clip_val: float):
    if grad_clip and not clip_val > 0:
        raise ValueError(f"clip_val must be above 0, got {clip_val}")


def check_precision(precision: str, *others: str):
    known = (*others, *PRECISIONS)
    if precision not in known:
        raise ValueError(f"precision must be one of {', '.join(known)}, got {precision!r}")


def check_place(path: Path, resume: bool, overwrite: bool):
    """Raises InputError now rather than after the first epoch."""
    if not (resume or overwrite) and path.exists():
        raise InputError(
            f"{path} exists: resume=True goes on from it, overwrite=True replaces it, another "
            "folder or model_name keeps both"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def check_continuation(path: Path, log: dict, nepoch: int, kept: str, precision: str):
    done = len(log["epoch"])
    if done > nepoch:
        raise InputError(
            f"{path} has {done} epochs already: expected at least as many, got {nepoch}"
        )
    if precision not in ("auto", kept):
        raise InputError(f"{path} was trained in {kept}, and cannot go on in {precision}")


def start_average(model, decay: float) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))


@contextmanager
def following(average: AveragedModel | None, model, optimizer):
    """Within it the average takes in the weights of `model` after every step of `optimizer`."""
    if average is None:
        yield
        return
    hook = optimizer.register_step_post_hook(lambda *_: average.update_parameters(model))
    try:
        yield
    finally:
        hook.remove()


def progress_line(model_name: str, nepoch: int, log: dict) -> str:
    epoch, loss = log["epoch"][-1], log["train_loss"][-1]
    line = f"{model_name}: epoch {epoch:2d} of {nepoch}, {log['seconds'][-1]:5.1f} s, perplexity "
    line += f"in training {perplexity(loss):6.1f}"
    if log["validation_epoch"] and log["validation_epoch"][-1] == epoch:
        line += f", in validation {perplexity(log['validation_loss'][-1]):6.1f}"
    return line


def step_scheduler(scheduler, epoch: int, log: dict):
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        if log["validation_epoch"][-1:] == [epoch]:  # an old loss again would be no improvement
            scheduler.step(log["validation_loss"][-1])
    elif scheduler is not None:
        scheduler.step()


def describe(trainloader, model, optimizer, criterion, scheduler, grad_clip, clip_val) -> dict:
    """The recipe of a training, as plain values: what must agree for a checkpoint to go on.

    The number of epochs is not among them, but that over which a scheduler falls is.
    """
    batches = trainloader.batch_sampler
    return {
        "network": {"class": type(model).__name__, **model.arguments},
        "optimizer": {"class": type(optimizer).__name__, **plain(optimizer.defaults)},
        "learning_rates": [g.get("initial_lr", g["lr"]) for g in optimizer.param_groups],
        "seed": torch.initial_seed(),
        "scheduler": describe_scheduler(scheduler),
        "criterion": {"class": type(criterion).__name__, **plain(vars(criterion))},
        "clipping": clip_val if grad_clip else None,
        "batch_size": getattr(batches, "batch_size", None),
        "order": type(getattr(batches, "sampler", batches)).__name__,
        "stride": getattr(trainloader.dataset, "stride", None),
        "seq_length": trainloader.dataset.seq_length,
        "training_tokens": len(trainloader.dataset.data) - 1,
    }


def describe_scheduler(scheduler) -> dict | None:
    """Its class and its settings, as far as they are plain; not how far it has come."""
    if scheduler is None:
        return None
    progress = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter")
    settings = {
        name: value
        for name, value in plain(scheduler.state_dict()).items()
        if not name.startswith("_") and name not in progress
    }
    return {"class": type(scheduler).__name__, **settings}


def plain(settings: dict) -> dict:
    simple = (bool, int, float, str, tuple)
    return {name: value for name, value in settings.items() if isinstance(value, simple)}


def save_training(
    path, model, average, optimizer, scheduler, lexicon, recipe, log, nepoch, precision
):
    device = next(model.parameters()).device
    contents = checkpoints.model_contents(model if average is None else average.module, lexicon)
    if average is not None:
        contents |= {"average": average.state_dict(), "weights_in_training": model.state_dict()}
    contents |= {
        "optimizer": optimizer.state_dict(),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "recipe": recipe,
        "epochs": nepoch,
        "precision": precision,
        "log": log,
        "random_state": torch.get_rng_state(),
        "device_random_state": torch.cuda.get_rng_state() if device.type == "cuda" else None,
    }
    checkpoints.save(path, contents)


def restore(path, model, average, optimizer, scheduler, lexicon, recipe) -> tuple[dict, str]:
    """Put model, average, optimiser, scheduler and random numbers where `path` left them."""
    device = next(model.parameters()).device
    found = checkpoints.load(path, device)
    if "optimizer" not in found:
        raise CheckpointError(f"{path} holds a finished network and cannot be trained further")
    if found["format"] != checkpoints.FORMAT:
        raise CheckpointError(
            f"{path} is of an earlier version, whose lexicon has another order: it can be "
            "evaluated and can generate, but not be trained further"
        )
    checkpoints.check_training(path, found)
    if found["lexicon"] != lexicon:
        raise CheckpointError(f"{path} was trained on another book: the lexicons differ")
    was = found["recipe"]  # of an earlier version it may say less
    different = [name for name in recipe if name in was and was[name] != recipe[name]]
    if different:
        was = "; ".join(f"{name} {was[name]}, now {recipe[name]}" for name in different)
        raise CheckpointError(f"{path} belongs to another training: it had {was}")
    try:
        if average is None:
            model.load_state_dict(found["weights"])
        else:
            model.load_state_dict(found["weights_in_training"])
            average.load_state_dict(found["average"])
        optimizer.load_state_dict(found["optimizer"])
        if scheduler is not None:
            scheduler.load_state_dict(found["scheduler"])
        torch.set_rng_state(found["random_state"].cpu())
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not fit its own recipe: {error}") from error
    if device.type == "cuda" and found["device_random_state"] is not None:
        torch.cuda.set_rng_state(found["device_random_state"].cpu())
    return found["log"], found["precision"]


def default_precision(device) -> str:
    """ "bfloat16" where the processor or GPU has instructions that multiply it, else "float32".

    What it is depends on the machine alone, not on how busy it is, so that a seed decides a
    training. ATEN_CPU_CAPABILITY=avx2 hides the wider instructions, from PyTorch and so from here.
    """
    device = torch.device(device)
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        has = wide and torch.cpu._is_avx512_bf16_supported()  # PyTorch has no public name for it
    return "bfloat16" if has else "float32"
