"""What pytest does with a lesson: nbval runs it; what cannot be compared is left out."""

import pytest

# Images differ in bytes with every matplotlib and font, HTML holds generated ids, and stderr is for
# progress bars. A figure's text/plain and everything printed are compared.
NOT_COMPARED = ("stderr", "text/html", "image/png", "image/jpeg", "image/svg+xml")


def pytest_collectstart(collector: pytest.Collector) -> None:
    if collector.path.suffix == ".ipynb":
        collector.skip_compare += NOT_COMPARED
