"""What pytest does with a lesson: nbval runs it; what cannot be compared is left out."""

import os
import tempfile

import pytest

# HTML and SVG hold generated ids, and stderr is for progress bars. nbval leaves out PNG and JPEG by
# itself. What is printed, a value's text/plain and a figure's are compared.
NOT_COMPARED = ("stderr", "text/html", "image/svg+xml")


def pytest_configure(config: pytest.Config) -> None:
    """What lessons write, checkpoints and figures, goes to a folder that is gone afterwards."""
    folder = tempfile.TemporaryDirectory(prefix="blg561-lessons-")
    config.add_cleanup(folder.cleanup)
    os.environ["BLG561_OUTPUT"] = folder.name


def pytest_collectstart(collector: pytest.Collector) -> None:
    if collector.path.suffix == ".ipynb":
        collector.skip_compare += NOT_COMPARED
