"""How a book of Project Gutenberg is read: the story alone, whichever edition a file holds.

Editions differ in what stands before and after the story, in their headings and illustrations.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from blg561.errors import InputError

MARKER = r"^\*{{3}}[ \t]*{} OF (?:THE|THIS) PROJECT GUTENBERG E(?:BOOK|TEXT)\b.*$"
START_MARKER = re.compile(MARKER.format("START"), re.IGNORECASE | re.MULTILINE)
END_MARKER = re.compile(MARKER.format("END"), re.IGNORECASE | re.MULTILINE)
# A heading: "Chapter 3", "BOOK II. A Title", "Book the First--A Title", "III. A Title".
NUMERAL = r"(?:\d+|[ivxlc]+|the [a-z]+)"
HEADING = re.compile(rf"\s*(?:(?i:chapter|book|part|volume) (?i:{NUMERAL})\b|[IVXLC]+\. )")
FIRST_HEADING = re.compile(r"\s*(?:(?i:chapter|book|part|volume) (?i:1|i|the first)\b|I\. )")
PARAGRAPH = re.compile(r"(?:^.*\S.*\n?)+", re.MULTILINE)
CREDITS = re.compile(
    r"\s*(?:produced by|e-?text prepared|this e(?:book|text) was|transcribed|\W*transcriber.s note"
    r"|there is an illustrated edition|cover$)",
    re.IGNORECASE | re.MULTILINE,
)
# "[Illustration: a caption [with a note in it]]", over several lines.
BRACKETED = re.compile(
    r"\[(?:Illustration|Transcriber.s note)\b(?:[^\[\]]|\[[^\[\]]*\])*\]", re.IGNORECASE
)
END_LINE = re.compile(r"^\W*End of (?:the |this )?Project Gutenberg", re.IGNORECASE | re.MULTILINE)
FOOTNOTES = re.compile(r"^[ \t]*FOOTNOTES:?[ \t]*$", re.MULTILINE)
FOOTNOTE_MARK = re.compile(r"\(\d{1,3}\)|\[\d{1,3}\]")
# A last paragraph in capitals, "SUCH-AND-SUCH PRESS: SOMEBODY AND CO. STREET, TOWN."
IMPRINT = re.compile(r"[^a-z]*\b(?:PRESS|PRINTED|PRINTERS)\b[^a-z]*")
ROMAN_HEADING = re.compile(r"^[ \t]*chapter ([ivxlc]+)\.?[ \t]*$", re.IGNORECASE | re.MULTILINE)
ROMAN = dict(i=1, v=5, x=10, l=50, c=100)


class BookError(InputError):
    """A book that cannot be used, and what to do about it."""


def read_text(path: str | os.PathLike) -> str:
    """The story: from the heading of the first chapter to its last line, with "\\n" line ends.

    What Project Gutenberg and the edition add is left out: licence, credits, title page, contents,
    illustrations' captions, footnotes, the printer's name. A chapter's number is written in one
    way, "CHAPTER II." as "Chapter 2", so that editions share it. A text without Project
    Gutenberg's markers is the reader's own and is taken whole.

    Raises BookError for a file that is missing or empty, not UTF-8 (with the byte offset), an HTML
    page, or has only one of the two markers, which means that a part of it is missing.
    """
    text = decode(read(path), str(path))
    story = between_markers(text, str(path))
    if story is None:
        return text
    story = _without_back_matter(_without_front_matter(BRACKETED.sub(_heading_within, story)))
    if not story:
        raise BookError(f"{path} has nothing between its START and END markers")
    return ROMAN_HEADING.sub(_in_figures, story) + "\n"


def read(path: str | os.PathLike) -> bytes:
    """The bytes of a file. Raises BookError where there are none to be had."""
    if "://" in str(path):
        raise BookError(f"expected the path of a file, got the address {path}: download it first")
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise BookError(f"no such file: {path}") from None
    except OSError as error:
        raise BookError(f"{path} cannot be read: {error.strerror or error}") from error


def decode(content: bytes, name: str) -> str:
    """Text with "\\n" line ends. Raises BookError, which calls the file `name`, as `read_text`."""
    if b"\0" in content:  # half of the bytes of a space, in UTF-16
        raise BookError(f"{name} is UTF-16 or no text at all: expected UTF-8; save it as UTF-8")
    try:
        text = content.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BookError(
            f"{name} is not UTF-8 text: byte {content[error.start]:#04x} at offset {error.start}; "
            "save it as UTF-8"
        ) from None
    if not text.strip():
        raise BookError(f"{name} is empty: expected the text of a book")
    if re.match(r"\s*<(?:!doctype html|html|\?xml)", text, re.IGNORECASE):
        raise BookError(f"{name} is an HTML page: expected plain text")
    return text.replace("\r", "\n")


def between_markers(text: str, name: str) -> str | None:
    """What stands between the markers, or None for a text that has neither."""
    start, end = START_MARKER.search(text), END_MARKER.search(text)
    if start is None and end is None:
        return None
    if start is None or end is None or end.start() < start.end():
        missing = "START" if start is None else "END"
        raise BookError(
            f"{name} is truncated: Project Gutenberg's {missing} marker is not where it belongs; "
            "delete the file and get it again"
        )
    return text[start.end() : end.start()]


def _heading_within(bracketed: re.Match) -> str:
    """Some editions draw a chapter's heading: then it is in the illustration's caption."""
    lines = bracketed.group().rstrip("]").splitlines()
    return "\n".join(line for line in lines if HEADING.match(line))


def _without_front_matter(story: str) -> str:
    """From the first heading that a story follows.

    A table of contents has the same headings, but there a heading is followed by the next one. So
    the story begins where one or more headings with the number one (of a part, a book, a chapter)
    come directly before a paragraph that is not a heading.
    """
    begin = None
    for paragraph in PARAGRAPH.finditer(story):
        lines = paragraph.group().splitlines()
        if not HEADING.match(lines[0]):
            if begin is not None:
                return story[begin:]
        elif FIRST_HEADING.match(lines[0]) and not any(map(HEADING.match, lines[1:])):
            begin = paragraph.start() if begin is None else begin
        else:
            begin = None
    return _without_credits(story)


def _without_credits(story: str) -> str:
    """A text without chapters begins behind its credits."""
    for paragraph in PARAGRAPH.finditer(story):
        if not CREDITS.match(paragraph.group()):
            return story[paragraph.start() :]
    return ""


def _without_back_matter(story: str) -> str:
    if end := END_LINE.search(story):
        story = story[: end.start()]
    if notes := FOOTNOTES.search(story):  # without the notes, their marks are stray numbers
        story = FOOTNOTE_MARK.sub("", story[: notes.start()])
    before, _, last = story.strip().rpartition("\n\n")
    return before.strip() if IMPRINT.fullmatch(last) else story.strip()


def _in_figures(heading: re.Match) -> str:
    values = [ROMAN[letter] for letter in heading[1].lower()]
    followers = [*values[1:], 0]
    number = sum(
        -value if value < follower else value
        for value, follower in zip(values, followers, strict=True)
    )
    return f"Chapter {number}"
