"""The rehearsal in Colab's versions: what it refuses, and what it lays before a lesson."""

import os
import subprocess
import sys

import pytest

from tools import colab


def test_a_missing_interpreter_is_an_error_that_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["colab", "no-such-python"])
    assert colab.main() == 2
    message = capsys.readouterr().err
    assert "no-such-python does not run" in message
    assert f"make colab COLAB_PYTHON=path/to/python{colab.colab_python()}" in message


def test_another_version_than_colabs_is_refused(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 3.9\n", encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(colab.NoInterpreterError, match=r"is Python 3\.9"):
        colab.check_interpreter(str(python))
    python.write_text(f"#!/bin/sh\necho {colab.colab_python()}\n", encoding="utf-8")
    colab.check_interpreter(str(python))


def test_a_lesson_finds_nothing_but_notebooks_beside_it(tmp_path):
    folder = colab.copy_lessons(tmp_path, "")
    expected = sorted(path.name for path in (colab.ROOT / "notebooks").glob("*.ipynb"))
    assert sorted(path.name for path in folder.iterdir()) == expected
    assert not any((parent / "blg561").exists() for parent in folder.parents)
    assert [path.name for path in colab.copy_lessons(tmp_path / "one", "01").iterdir()] == [
        "01_RNN.ipynb"
    ]


def test_the_environment_is_made_again_only_when_the_versions_change(tmp_path, monkeypatch):
    monkeypatch.setattr(colab, "ENVIRONMENT", tmp_path / "colab")
    monkeypatch.setattr(colab, "VERSIONS", tmp_path / "colab.txt")
    calls = []

    def run(command, check):
        calls.append(command[2])
        (tmp_path / "colab").mkdir(exist_ok=True)

    monkeypatch.setattr(subprocess, "run", run)
    for text, made in [("numpy==1", True), ("numpy==1", False), ("numpy==2", True)]:
        colab.VERSIONS.write_text(text, encoding="utf-8")
        calls.clear()
        python = colab.install("python3.13")
        assert calls == (["venv", "pip"] if made else [])
    assert os.path.dirname(python).startswith(str(tmp_path / "colab"))
