"""The practice corpus: a text whose best possible perplexity is known exactly.

It comes from a *unifilar* source (Shannon, "A Mathematical Theory of Communication", 1948, part I;
Cover & Thomas, "Elements of Information Theory", section 4.2): a finite set of states, in each
state a distribution over the next word, and every word leads to one state only. Whoever has read
the text from its start therefore knows the state, nobody can predict better than the state's own
distribution, and the entropy rate is the mean entropy of these distributions:

    H = Σ_s π_s H(p(· | s))    with    π P = π,    Σ_s π_s = 1.

exp(H) is a floor under the perplexity of every model of this text.

The sentences are about a harbour, a garden and a house. What an n-gram does not see:

- A verb agrees with its subject across a relative clause: "the ships that the old captain finds
  near the bridge drift". Things also do other things than people.
- Tokens have no quotation marks, so quotations are dictated, as in a telegram: "quote" opens one
  and "unquote" closes it, perhaps several sentences later. Outside, verbs are in the present
  tense; inside, in the past.
- "In the garden," says what people and things the following sentences are about, until the scene
  changes again.
"""

import bisect
import functools
import itertools
import random
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

DEFAULT_TOKENS = 60_000
DEFAULT_SEED = 561

# ------------------------------------------------------------------------------------------------
# Vocabulary, the most frequent words first. No form of a noun is a form of a verb.
# ------------------------------------------------------------------------------------------------


def _words(words: str) -> tuple[str, ...]:
    return tuple(words.split())


def _nouns(words: str) -> dict[str, tuple[str, ...]]:
    """{"one": singulars, "many": plurals}; a plural that is not word + "s" follows a slash."""
    singular, plural = zip(
        *(word.split("/") if "/" in word else (word, word + "s") for word in words.split()),
        strict=True,
    )
    return {"one": singular, "many": plural}


def _verbs(words: str) -> dict[str, tuple[str, ...]]:
    """{"one": third persons, "many": plurals, "past": pasts}; an irregular past follows a slash."""
    forms = {"one": [], "many": [], "past": []}
    for word in words.split():
        verb, _, past = word.partition("/")
        forms["one"].append(verb + "s")
        forms["many"].append(verb)
        forms["past"].append(past or verb + ("d" if verb.endswith("e") else "ed"))
    return {form: tuple(verbs) for form, verbs in forms.items()}


SCENES = ("harbour", "garden", "house")
PEOPLE = {
    "harbour": _nouns(
        "captain sailor pilot fisherman/fishermen stranger cook smuggler boatswain diver passenger "
        "harbourmaster deserter"
    ),
    "garden": _nouns(
        "gardener neighbour child/children beekeeper painter widow poet botanist nephew florist "
        "shepherd beggar"
    ),
    "house": _nouns(
        "guest aunt doctor clockmaker maid lodger postman/postmen tailor cousin pianist burglar "
        "librarian"
    ),
}
THINGS = {
    "harbour": _nouns(
        "ship boat lantern net anchor rope gull barrel wave lighthouse pier buoy crate mast chain "
        "flag oar bell raft crab tide canoe hull shell cannon plank telescope figurehead"
    ),
    "garden": _nouns(
        "rose tree gate pond hedge apple bee path bench/benches lily/lilies wall tulip ladder pear "
        "fountain snail fence statue beetle thistle nettle poppy/poppies greenhouse sundial "
        "pumpkin blackbird spade scarecrow"
    ),
    "house": _nouns(
        "letter window door candle clock kitchen table mirror key carpet chair teapot staircase "
        "curtain cellar parcel piano cupboard blanket envelope kettle portrait stove inkwell "
        "diary/diaries umbrella spoon mousetrap"
    ),
}
NAMES = _words(
    "anna felix martha oscar ida leopold clara edmund nora victor selma hugo agnes rufus olga bruno"
)
TOWNS = _words("marlow tarn velsing orrin dunmere kessel brill ostwick")
ADJECTIVES = _words(
    "old small quiet green broken empty heavy grey lonely bright wooden cold narrow silver "
    "forgotten gentle dusty curious blue wet crooked proud patient famous pale sleepy foreign "
    "golden careful silent red hungry polite tall rusty nervous round cheerful strange white "
    "tired yellow noble muddy secret tiny modest lazy gloomy splendid"
)
PEOPLE_DO = _verbs(
    "wait sleep/slept sing/sang smile laugh listen whisper work travel/travelled return weep/wept "
    "hesitate shiver yawn wander pray dance stumble nod/nodded snore"
)
THINGS_DO = {
    "harbour": _verbs("drift creak sink/sank sway float rattle"),
    "garden": _verbs("glisten grow/grew freeze/froze tremble blossom ripen"),
    "house": _verbs("shine/shone gleam smell crack warp disappear"),
}
PEOPLE_DO_TO = _verbs(
    "see/saw find/found like remember forget/forgot admire sell/sold buy/bought hide/hid follow "
    "draw/drew clean mend count describe borrow lose/lost measure inspect praise steal/stole "
    "repair need fear"
)
PEOPLE_SAY = _verbs("write/wrote say/said answer add report")
HOW = _words("slowly quietly together alone again gladly badly outside")
HOW_OFTEN = _words("often never always still seldom")
WHEN = _words("today now sometimes tonight later meanwhile")
WHERE = _words("near behind under beside before above")
CONJUNCTIONS = _words("and but while because until")
DETERMINERS = {"one": ("every", "this"), "many": ("two", "many", "these", "three")}


# ------------------------------------------------------------------------------------------------
# Grammar: each state lists its next words, their weights and the states they lead to
# ------------------------------------------------------------------------------------------------


class Subject(NamedTuple):
    """What a verb has to know of its subject, however long ago that was."""

    kind: str  # "people" or "things"
    number: str  # "one" or "many"


class State(NamedTuple):
    """All of the past that the next word depends on."""

    place: str  # the position in the sentence: a key of `GRAMMAR`
    scene: str = "harbour"
    quoted: bool = False
    subject: Subject | None = None  # of the clause, until its verb has come
    inner: Subject | None = None  # of the relative clause, until its verb has come
    role: str = ""  # of a noun phrase: a key of `AFTER_NOUN`
    determiner: str = ""  # of a noun phrase: "the", "a", "one" or "many"

    def to(self, place: str, **changes) -> "State":
        return self._replace(place=place, **changes)

    def anew(self, place: str, **changes) -> "State":
        """The next clause: only the scene and the open quotation are remembered."""
        return State(place, **{"scene": self.scene, "quoted": self.quoted, **changes})


Move = tuple[str, float, State]  # word, weight, next state
START = State("sentence")
AFTER_NOUN = {
    "subject": "after subject",
    "object": "after object",
    "place": "clause end",
    "asked": "question end",
    "inner subject": "inner verb",
    "inner object": "verb",
    "inner place": "verb",
}
PEOPLE_SHARE = {  # of the nouns in that role; the others are things
    "subject": 0.6,
    "object": 0.3,
    "place": 0.0,
    "asked": 0.4,
    "inner subject": 1.0,
    "inner object": 0.3,
    "inner place": 0.0,
}


def _spread(words: Iterable[str], weight: float, target: State) -> Iterator[Move]:
    """Shares `weight` among the words by Zipf's law with Mandelbrot's shift, 1 / (rank + 2)."""
    words = tuple(words)
    shares = [1 / (rank + 2) for rank in range(1, len(words) + 1)]
    for word, share in zip(words, shares, strict=True):
        yield word, weight * share / sum(shares), target


def _sentence(state: State) -> Iterator[Move]:
    yield "where", 0.05, state.to("question")
    yield from _spread(WHEN, 0.06, state.to("comma"))
    if not state.quoted:
        yield "at", 0.03, state.to("at the scene")
        yield "in", 0.06, state.to("in the scene")
    yield from _clause(state, 0.8)


def _scene(state: State, scenes: tuple[str, ...]) -> Iterator[Move]:
    for scene in scenes:
        yield scene, 1 / len(scenes), state.to("comma", scene=scene)


def _clause(state: State, weight: float = 1.0) -> Iterator[Move]:
    person = state.to("verb", subject=Subject("people", "one"))
    yield from _noun_phrase(state, "subject", 0.74 * weight)
    yield from _spread(NAMES, 0.12 * weight, person)
    yield from _spread(("she", "he"), 0.09 * weight, person)
    yield "they", 0.05 * weight, state.to("verb", subject=Subject("people", "many"))


def _noun_phrase(state: State, role: str, weight: float) -> Iterator[Move]:
    begun = state.to("noun phrase", role=role)
    yield "the", 0.6 * weight, begun._replace(determiner="the")
    yield "a", 0.16 * weight, begun._replace(determiner="a")
    for number, words in DETERMINERS.items():
        yield from _spread(words, 0.12 * weight, begun._replace(determiner=number))


def _adjective_or_noun(state: State) -> Iterator[Move]:
    if state.determiner == "a":
        adjectives, number = _consonant_first(ADJECTIVES), "one"
    else:
        adjectives, number = ADJECTIVES, state.determiner
    yield from _spread(adjectives, 0.4, state.to("noun", determiner=number))
    yield from _noun(state, 0.6)


def _consonant_first(words: Iterable[str]) -> list[str]:
    """The words that "a" can stand before; there is no "an"."""
    return [word for word in words if word[0] not in "aeiou"]


def _noun(state: State, weight: float = 1.0) -> Iterator[Move]:
    """The noun tells the number that "the" leaves open: one more often than many."""
    numbers = {"the": {"one": 0.6, "many": 0.4}, "a": {"one": 1.0}}
    people = PEOPLE_SHARE[state.role]
    for number, share in numbers.get(state.determiner, {state.determiner: 1.0}).items():
        for kind, nouns, part in (("people", PEOPLE, people), ("things", THINGS, 1 - people)):
            words = nouns[state.scene][number]
            if state.determiner == "a":
                words = _consonant_first(words)
            if part:
                target = _after_noun(state, Subject(kind, number))
                yield from _spread(words, weight * share * part, target)


def _after_noun(state: State, noun: Subject) -> State:
    after = state.to(AFTER_NOUN[state.role], role="", determiner="")
    if state.role == "subject":
        return after._replace(subject=noun)
    if state.role == "inner subject":
        return after._replace(inner=noun)
    return after


def _after_subject(state: State) -> Iterator[Move]:
    yield "that", 0.25, state.to("relative clause")
    yield from _verb(state, 0.75)


def _relative_clause(state: State) -> Iterator[Move]:
    """Of the subject, "that finds the key", or of its object, "that the poet finds"."""
    if state.subject.kind == "people":
        finds = _forms(PEOPLE_DO_TO, state.subject, state.quoted)
        yield from _spread(finds, 0.4, state.to("inner object"))
    yield from _noun_phrase(state, "inner subject", 0.5)
    yield from _spread(NAMES, 0.1, state.to("inner verb", inner=Subject("people", "one")))


def _inner_verb(state: State) -> Iterator[Move]:
    finds = _forms(PEOPLE_DO_TO, state.inner, state.quoted)
    yield from _spread(finds, 1.0, state.to("after inner verb", inner=None))


def _after_inner_verb(state: State) -> Iterator[Move]:
    yield from _spread(WHERE, 0.45, state.to("inner place"))
    yield from _verb(state, 0.55)


def _forms(verbs: dict[str, tuple[str, ...]], subject: Subject, quoted: bool) -> tuple[str, ...]:
    """Narration is in the present tense and agrees; a quotation is in the past tense."""
    return verbs["past" if quoted else subject.number]


def _to_be(number: str, quoted: bool) -> str:
    present, past = {"one": ("is", "was"), "many": ("are", "were")}[number]
    return past if quoted else present


def _verb(state: State, weight: float = 1.0) -> Iterator[Move]:
    yield from _spread(HOW_OFTEN, 0.1 * weight, state.to("verb of doing"))
    yield _to_be(state.subject.number, state.quoted), 0.15 * weight, state.anew("predicate")
    if state.subject.kind == "people" and not state.quoted:
        says = _forms(PEOPLE_SAY, state.subject, state.quoted)
        yield from _spread(says, 0.08 * weight, state.anew("said"))
        yield from _verb_of_doing(state, 0.67 * weight)
    else:
        yield from _verb_of_doing(state, 0.75 * weight)


def _verb_of_doing(state: State, weight: float = 1.0) -> Iterator[Move]:
    done = state.anew("after verb")
    if state.subject.kind == "things":
        drift = _forms(THINGS_DO[state.scene], state.subject, state.quoted)
        yield from _spread(drift, weight, done)
    else:
        sing = _forms(PEOPLE_DO, state.subject, state.quoted)
        find = _forms(PEOPLE_DO_TO, state.subject, state.quoted)
        yield from _spread(sing, 0.4 * weight, done)
        yield from _spread(find, 0.6 * weight, state.anew("object"))


def _object(state: State) -> Iterator[Move]:
    yield from _noun_phrase(state, "object", 0.85)
    yield from _spread(NAMES, 0.15, state.to("after object"))


def _after_verb(state: State) -> Iterator[Move]:
    yield from _spread(HOW, 0.2, state.to("clause end"))
    yield from _after_object(state, 0.8)


def _after_object(state: State, weight: float = 1.0) -> Iterator[Move]:
    yield from _spread(WHERE, 0.25 * weight, state.to("place"))
    yield "in", 0.06 * weight, state.to("town")
    yield "from", 0.04 * weight, state.to("town")
    yield from _clause_end(state, 0.65 * weight)


def _predicate(state: State) -> Iterator[Move]:
    yield from _spread(ADJECTIVES, 0.7, state.to("clause end"))
    yield from _spread(WHERE, 0.2, state.to("place"))
    yield "in", 0.1, state.to("town")


def _said(state: State) -> Iterator[Move]:
    yield "to", 0.4, state.to("addressee")
    yield ":", 0.6, state.to("colon")


def _clause_end(state: State, weight: float = 1.0) -> Iterator[Move]:
    if state.quoted:
        yield "unquote", 0.2 * weight, state.anew("after quotation", quoted=False)
    yield ".", (0.4 if state.quoted else 0.66) * weight, state.anew("sentence")
    yield ",", 0.2 * weight, state.anew("conjunction")
    yield ";", 0.1 * weight, state.anew("clause")
    yield "!", (0.1 if state.quoted else 0.04) * weight, state.anew("sentence")


def _question(state: State) -> Iterator[Move]:
    """The verb comes first and the noun has to agree with it."""
    for number, weight in (("one", 0.6), ("many", 0.4)):
        yield _to_be(number, state.quoted), weight, state.to("asked", determiner=number)


def _asked(state: State) -> Iterator[Move]:
    yield "the", 1.0, state.to("noun phrase", role="asked")


GRAMMAR = {
    "sentence": _sentence,
    "at the scene": lambda state: [("the", 1.0, state.to("outdoors"))],
    "in the scene": lambda state: [("the", 1.0, state.to("indoors"))],
    "outdoors": lambda state: _scene(state, ("harbour",)),
    "indoors": lambda state: _scene(state, ("garden", "house")),
    "comma": lambda state: [(",", 1.0, state.to("clause"))],
    "clause": _clause,
    "conjunction": lambda state: _spread(CONJUNCTIONS, 1.0, state.to("clause")),
    "noun phrase": _adjective_or_noun,
    "noun": _noun,
    "after subject": _after_subject,
    "relative clause": _relative_clause,
    "inner verb": _inner_verb,
    "after inner verb": _after_inner_verb,
    "inner object": lambda state: _noun_phrase(state, "inner object", 1.0),
    "inner place": lambda state: _noun_phrase(state, "inner place", 1.0),
    "verb": _verb,
    "verb of doing": _verb_of_doing,
    "after verb": _after_verb,
    "object": _object,
    "after object": _after_object,
    "place": lambda state: _noun_phrase(state, "place", 1.0),
    "town": lambda state: _spread(TOWNS, 1.0, state.to("clause end")),
    "predicate": _predicate,
    "said": _said,
    "addressee": lambda state: _spread(NAMES, 1.0, state.to("before colon")),
    "before colon": lambda state: [(":", 1.0, state.to("colon"))],
    "colon": lambda state: [("quote", 1.0, state.anew("sentence", quoted=True))],
    "clause end": _clause_end,
    "after quotation": lambda state: [
        (".", 0.8, state.anew("sentence")),
        (",", 0.2, state.anew("conjunction")),
    ],
    "question": _question,
    "asked": _asked,
    "question end": lambda state: [("?", 1.0, state.anew("sentence"))],
}


# ------------------------------------------------------------------------------------------------
# The source
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Transitions:
    """What may follow in one state: words, their probabilities, and each word's next state."""

    words: tuple[str, ...]
    probabilities: tuple[float, ...]
    next_states: tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """A unifilar source: `transitions[s]` belongs to `states[s]`; it starts in state 0."""

    states: tuple[State, ...]
    transitions: tuple[Transitions, ...]

    def transition_matrix(self) -> np.ndarray:
        """P, (S, S): P[s, t] is the probability that state t follows state s."""
        matrix = np.zeros((len(self.states), len(self.states)))
        for s, moves in enumerate(self.transitions):
            np.add.at(matrix[s], list(moves.next_states), moves.probabilities)
        return matrix

    def stationary(self) -> np.ndarray:
        """π, (S,): the solution of π P = π, Σ π = 1, unique since every state reaches every other.

        One equation of π (P − I) = 0 follows from the others, so the sum takes its place.
        """
        equations = self.transition_matrix().T - np.eye(len(self.states))
        equations[-1] = 1.0
        return np.linalg.solve(equations, np.eye(len(self.states))[-1])

    def entropy_rate(self) -> float:
        """H = Σ_s π_s H(p(· | s)) in nats per token; exp(H) is the perplexity floor."""
        entropies = [-np.dot(m.probabilities, np.log(m.probabilities)) for m in self.transitions]
        return float(self.stationary() @ entropies)

    def sample(self, tokens: int, seed: int) -> list[str]:
        """The first `tokens` tokens of a text.

        `random.Random(seed).random()` is the generator whose numbers Python promises not to
        change, so that a seed gives the same text on every machine and with every NumPy.
        """
        rng = random.Random(seed)
        cumulative = [list(itertools.accumulate(m.probabilities)) for m in self.transitions]
        state, sampled = 0, []
        for _ in range(tokens):
            moves = self.transitions[state]
            # The last sum may round to less than 1: never look beyond the last word.
            choice = bisect.bisect(cumulative[state], rng.random(), hi=len(moves.words) - 1)
            sampled.append(moves.words[choice])
            state = moves.next_states[choice]
        return sampled

    def log_probability(self, tokens: Iterable[str]) -> np.ndarray:
        """(T,): log p(w_t | w_1 … w_{t−1}) in nats of a text that starts in state 0.

        Raises ValueError at a word that cannot follow, since no state follows from it either.
        """
        state, logs = 0, []
        for position, word in enumerate(tokens):
            moves = self.transitions[state]
            if word not in moves.words:
                raise ValueError(
                    f"token {position}, {word!r}, cannot follow in state {self.states[state]}; "
                    f"expected one of {', '.join(moves.words[:5])}, …"
                )
            choice = moves.words.index(word)
            logs.append(np.log(moves.probabilities[choice]))
            state = moves.next_states[choice]
        return np.array(logs)


@functools.cache
def source() -> Source:
    """The source of the practice corpus: every state that can be reached from `START`."""
    numbers = {START: 0}
    transitions = []
    for state in (found := [START]):  # grows while it is walked: breadth first
        words, weights, targets = zip(*GRAMMAR[state.place](state), strict=True)
        for target in targets:
            if target not in numbers:
                numbers[target] = len(found)
                found.append(target)
        probabilities = tuple(weight / sum(weights) for weight in weights)
        transitions.append(Transitions(words, probabilities, tuple(numbers[t] for t in targets)))
    return Source(tuple(found), tuple(transitions))


@functools.cache
def text(tokens: int = DEFAULT_TOKENS, seed: int = DEFAULT_SEED) -> str:
    """A text of that many tokens, in paragraphs: `dataset.tokenize` gives the sample back.

    A paragraph begins where the scene changes; sentences and names have capitals.
    """
    paragraphs, line = [], ""
    starts = True  # a sentence starts here
    for word in source().sample(tokens, seed):
        if starts and word in ("at", "in") and line:
            paragraphs.append(line)
            line = ""
        capital = starts or word in NAMES or word in TOWNS
        space = "" if not line or word in ".,;:!?" else " "
        line += space + (word.capitalize() if capital else word)
        starts = word in (".", "!", "?", "quote")
    paragraphs.append(line)
    return "\n\n".join(textwrap.fill(paragraph, width=88) for paragraph in paragraphs) + "\n"
