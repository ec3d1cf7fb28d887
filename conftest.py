"""What pytest does with a lesson: nbval runs it; what cannot be compared is left out."""

import os
import re
import tempfile
from collections.abc import Iterator

import pytest

# HTML and SVG hold generated ids, and stderr is for progress bars. nbval leaves out PNG and JPEG by
# itself. What is printed, a value's text/plain and a figure's are compared.
NOT_COMPARED = ("stderr", "text/html", "image/svg+xml")

# What no cell may leave in its output, although stderr is not compared.
UNWANTED = re.compile(r"\w{0,40}Warning: .*|\d+%\|.*|[\w/.]{0,40}widget-view.*")

# What takes longest begins first, so that two processes end at about the same time.
FIRST = (
    "05_BeyondTheTarget",
    "site_in_a_browser",
    "04_LanguageModelling",
    "06_OpenTheBox",
    "retrain_two_rows",
    "07_Attention",
    "grade_submissions",
    "03_GRU",
    "01_RNN",
    "grade_attacks",
    "test_command_line",
    "test_grader",
    "test_experiment",
    "test_layer_language_model",
    "test_diagrams",
    "test_systems",
    "test_leaderboard",
    "test_spelling",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(FIRST)))


def pytest_configure(config: pytest.Config) -> None:
    """What lessons write, checkpoints and figures, goes to a folder that is gone afterwards.

    Each process of pytest-xdist has one of its own, so lessons that run at once cannot meet.
    """
    folder = tempfile.TemporaryDirectory(prefix="blg561-lessons-")
    config.add_cleanup(folder.cleanup)
    os.environ["BLG561_OUTPUT"] = folder.name


def pytest_collectstart(collector: pytest.Collector) -> None:
    if collector.path.suffix == ".ipynb":
        collector.skip_compare += NOT_COMPARED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A cell that leaves a warning or a progress bar fails."""
    yield
    for output in getattr(item, "test_outputs", None) or ():
        if found := UNWANTED.search(words_of(output)):
            pytest.fail(f"the cell's output has {found.group()!r}", pytrace=False)


def words_of(output: dict) -> str:
    """What a stream or a result says, and of what kinds it is. An image is no words."""
    data = output.get("data", {})
    said = [content for kind, content in data.items() if kind.startswith("text/")]
    return "\n".join([output.get("text", ""), *data, *said])
