"""The Python examples of README run as they stand."""

import re
from pathlib import Path

import pytest
from test_pretrained import shrink

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)


def test_there_is_an_example():
    assert EXAMPLES


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs(tmp_path, monkeypatch, code):
    """With small recipes, in an empty folder."""
    shrink(tmp_path / "data", monkeypatch.setitem)
    monkeypatch.setenv("BLG561_DATA", str(tmp_path / "data"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    exec(compile(code, "README.md", "exec"), {"__name__": "__main__"})
