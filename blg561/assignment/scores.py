"""The mark that one test gives."""

from dataclasses import dataclass


@dataclass
class Mark:
    """name: begins with the part. said: in words, for the student."""

    name: str
    score: float
    most: float
    said: str

    @property
    def part(self) -> str:
        return self.name.split()[0]
