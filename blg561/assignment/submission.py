"""What was handed in, read from a folder or an archive without unpacking anything."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

MOST_ENTRIES = 20_000
PIECE = 2**20
LARGEST_CONTENTS = 8 * 2**20  # bytes of an archive's table of contents
PACKED_AS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # others ask for gigabytes when they begin
DAMAGED = (
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


@dataclass
class Submission:
    """files: content by its name in hand_in.WANTED. notes: what the student should know of it."""

    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(path: Path, wanted: dict[str, str], most_mib: float) -> Submission:
    """The wanted files of a folder or a zip archive, whatever else it holds.

    wanted: what each file is, by its name, as in hand_in.WANTED.

    Nothing is unpacked and no link is followed, so that a name with `..`, a link or an archive that
    unfolds without end reaches nothing. Never raises for what a student can hand in.
    """
    path = Path(path)
    made = Submission(path.stem if path.suffix == ".zip" else path.name)
    left = [int(most_mib * 2**20)]
    try:
        if path.is_dir():
            found = in_folder(path, made)
        elif not path.is_file():
            raise ValueError("it is something else")
        else:
            found = in_archive(zipfile.ZipFile(Archive(path)), made)
        for name in wanted:
            places = sorted((p for p in found if fits(p, name)), key=lambda p: (p.count("/"), p))
            if not places:
                made.notes.append(f"{name} is missing: {wanted[name]}")
                continue
            if len(places) > 1:
                made.notes.append(f"{name} is there {len(places)} times; {places[0]} is graded")
            try:
                made.files[name] = limited(found[places[0]], left)
            except DAMAGED as error:
                made.notes.append(f"{places[0]} cannot be read: {error}")
    except (*DAMAGED, MemoryError) as error:
        made.notes.append(f"{path.name} is neither a folder nor a zip archive: {error}")
    return made


def fits(path: str, name: str) -> bool:
    """Whether a file is the wanted one: it may lie in other folders, its own name counts."""
    parts = PurePosixPath(path).parts
    return parts[-1] == PurePosixPath(name).name and ".." not in parts and "__MACOSX" not in parts


def in_folder(folder: Path, made: Submission) -> dict:
    """How to open each regular file, by its path within the folder."""
    found = {}
    for base, folders, names in os.walk(folder):
        folders[:] = [
            n for n in folders if n not in (".git", ".venv") and not linked(base, n, made)
        ]
        for name in names:
            path = Path(base, name)
            if linked(base, name, made) or not stat.S_ISREG(path.lstat().st_mode):
                continue
            found[path.relative_to(folder).as_posix()] = partial(open, path, "rb", opener=no_link)
            if len(found) > MOST_ENTRIES:
                raise ValueError(f"it holds more than {MOST_ENTRIES:,} files")
    return found


def no_link(path, flags) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def linked(base: str, name: str, made: Submission) -> bool:
    is_link = os.path.islink(os.path.join(base, name))
    if is_link:
        made.notes.append(f"{name} is a symbolic link and was not followed")
    return is_link


class Archive(io.FileIO):
    """A file of which no reader gets more at once than an honest table of contents takes."""

    def read(self, size=-1):
        if size > LARGEST_CONTENTS:
            raise ValueError("its table of contents is too large")
        return super().read(size if size >= 0 else LARGEST_CONTENTS)


def in_archive(archive: zipfile.ZipFile, made: Submission) -> dict:
    """How to open each file of an archive, by its name there."""
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise ValueError(f"it holds more than {MOST_ENTRIES:,} files")
    found = {}
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        if entry.is_dir():
            continue
        if name.startswith("/") or ".." in name.split("/"):
            made.notes.append(f"{name[:100]!r} leads out of the archive and was not read")
        elif entry.compress_type not in PACKED_AS:
            made.notes.append(f"{name[:100]!r} is packed in an unusual way and was not read")
        elif stat.S_ISLNK(entry.external_attr >> 16):
            made.notes.append(f"{name[:100]!r} is a symbolic link and was not followed")
        else:
            found[name] = partial(archive.open, entry)
    return found


def limited(opened, left: list[int]) -> bytes:
    """The content, of which no more is read than `left` allows for the whole submission."""
    content = bytearray()
    with opened() as file:
        while piece := file.read(PIECE):
            left[0] -= len(piece)
            if left[0] < 0:
                raise ValueError("the submission is larger than what is allowed for all its files")
            content += piece
    return bytes(content)
