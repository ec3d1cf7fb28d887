"""The list of faults keeps to the package; `make mutants` finds out whether each is noticed."""

import ast
from functools import cache

import pytest

from tests.faults import FAULTS, TESTS
from tools.mutants import ROOT, files_of


@cache
def source(file):
    text = (ROOT / "blg561" / file).read_text(encoding="utf-8")
    return text, ast.parse(text).body


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.file} {fault.name}")
def test_a_fault_can_be_put_in(fault):
    """Its place is there, once, and what comes in its stead is Python, but another program."""
    text, program = source(fault.file)
    assert text.count(fault.old) == 1
    line = text[: text.index(fault.old)].count("\n") + 1
    first = sum(statement.end_lineno < line for statement in program)  # with anything of the fault
    changed = ast.parse(text.replace(fault.old, fault.new)).body
    assert ast.dump(changed[first]) != ast.dump(program[first])


def test_every_fault_has_its_tests_and_no_two_are_the_same():
    assert all((ROOT / name).is_file() for fault in FAULTS for name in files_of(fault))
    assert len({(fault.file, fault.name) for fault in FAULTS}) == len(FAULTS) >= 80
    assert {fault.file for fault in FAULTS} <= TESTS.keys()
