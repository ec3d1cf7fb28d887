"""Other editions of a book, for tests: made up, or the known one with some words respelled."""

import random
import re


def respelled(text: str, words: int, seed: int = 0) -> str:
    """The text with that many of its longer words, at random places, in a spelling of their own."""
    ends = [match.end() for match in re.finditer(r"\b[a-z]{4,}\b", text)]
    pieces, begin = [], 0
    for end in sorted(random.Random(seed).sample(ends, words)):
        pieces.append(text[begin:end] + "xe")
        begin = end
    return "".join(pieces) + text[begin:]


def plain(title: str, chapters: list[str]) -> str:
    """A book as Project Gutenberg's early editions have it."""
    start, end = (f"*** {m} OF THE PROJECT GUTENBERG EBOOK {title} ***" for m in ("START", "END"))
    story = [f"Chapter {i}\n\n{chapter}" for i, chapter in enumerate(chapters, start=1)]
    return "\n\n\n".join([f"Title: {title}", start, title, *story, end, "Its licence.\n"])


def illustrated(title: str, chapters: list[str]) -> str:
    """A book with the headings, pictures and printer's lines of an illustrated edition."""
    printer = "             LAMP PRESS:--N. N. AND CO.\n       BOAT COURT, OLD LANE, TOWN.\n"
    first, *others = chapters
    front = [
        f"*** START OF THE PROJECT GUTENBERG EBOOK {title.upper()} ***",
        "[Illustration:\n\n   N. N.\n   PUBLISHER\n   TOWN\n   ]",
        "[Illustration:\n\n   _Looking out._      _Chap 2._\n   ]",
        f"   {title.upper()}\n\n   with a Preface by\n   N. N.",
        "[Illustration: 1894]",
        printer,
        "PREFACE.\n\n[Illustration]\n\n_Somebody praises it here, at length._\n\n_N. N._",
        "List of Illustrations.\n\n[Illustration]\n\nFrontispiece      iv\n"
        "Heading to Chapter I.      1\nTailpiece to Chapter I.     12\nHeading to Chapter II.",
    ]
    story = [f"[Illustration:\n\n·{title.upper()}·\n\n\n        Chapter I.]", first]
    for number, chapter in enumerate(others, start=2):
        full_stop = "." if number % 5 else ""  # it is missing here and there
        story += [
            "[Illustration: “A picture”]",
            f"CHAPTER {roman(number)}{full_stop}",
            "[Illustration]",
            chapter,
            "[Illustration:\n\n     “Another,\n     of two lines”\n\n[_Copyright by N. N._]]",
        ]
    back = [
        "[Illustration:\n\n      THE\n      END\n       ]",
        printer,
        f"*** END OF THE PROJECT GUTENBERG EBOOK {title.upper()} ***",
        "Its licence.\n",
    ]
    return "\n\n\n".join([f"Title: {title}\n", *front, *story, *back])


def roman(number: int) -> str:
    numeral = ""
    for value, letters in {40: "XL", 10: "X", 9: "IX", 5: "V", 4: "IV", 1: "I"}.items():
        numeral += number // value * letters
        number %= value
    return numeral
