"""All mutants there are."""

from tests.mutants import of_calls, of_lives, of_reexec, of_swaps

MUTANTS = (*of_calls.MUTANTS, *of_swaps.MUTANTS, *of_lives.MUTANTS, *of_reexec.MUTANTS)
