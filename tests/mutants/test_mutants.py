"""Every mutant still is one: it applies to the code as it is, and is a program.

Whether it is caught is what `make mutants` finds out.
"""

import ast
from pathlib import Path

import pytest

from tests.mutants.every import MUTANTS
from tests.mutants.mutant import DoesNotApply, Mutant

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_it_applies_and_is_another_program(mutant: Mutant, tmp_path: Path) -> None:
    copy = mutant.path(tmp_path)
    copy.parent.mkdir(parents=True)
    copy.write_text(mutant.path(REPOSITORY).read_text(encoding="utf-8"), encoding="utf-8")
    sound = mutant.apply(tmp_path)
    assert ast.dump(ast.parse(copy.read_text(encoding="utf-8"))) != ast.dump(ast.parse(sound))


def test_no_rule_is_broken_twice_under_one_name() -> None:
    assert len({mutant.rule for mutant in MUTANTS}) == len(MUTANTS) >= 20


def test_one_whose_text_is_gone_does_not_apply(tmp_path: Path) -> None:
    lost = Mutant("lost", "relay.py", "no such text", "")
    lost.path(tmp_path).parent.mkdir(parents=True)
    lost.path(tmp_path).write_text("other text", encoding="utf-8")
    with pytest.raises(DoesNotApply, match="found 0 times"):
        lost.apply(tmp_path)
