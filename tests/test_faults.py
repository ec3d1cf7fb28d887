"""The list of faults keeps to the package; `make mutants` finds out whether each is noticed."""

import ast

import pytest

from tests.faults import FAULTS, TESTS
from tools.mutants import ROOT, files_of


def source(fault):
    return (ROOT / "blg561" / fault.file).read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.file} {fault.name}")
def test_a_fault_can_be_put_in(fault):
    """Its place is there, once, and what comes in its stead is Python, but another program."""
    text = source(fault)
    assert text.count(fault.old) == 1
    changed = ast.parse(text.replace(fault.old, fault.new))
    assert ast.dump(changed) != ast.dump(ast.parse(text))


def test_every_fault_has_its_tests_and_no_two_are_the_same():
    assert all((ROOT / name).is_file() for fault in FAULTS for name in files_of(fault))
    assert len({(fault.file, fault.name) for fault in FAULTS}) == len(FAULTS) >= 80
    assert {fault.file for fault in FAULTS} <= TESTS.keys()
