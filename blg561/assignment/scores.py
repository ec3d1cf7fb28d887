"""A test and its points."""

from dataclasses import dataclass


@dataclass
class Test:
    """name: begins with the part. said: in words, for the student."""

    name: str
    score: float
    most: float
    said: str

    @property
    def part(self) -> str:
        return self.name.split()[0]
