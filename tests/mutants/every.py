"""All mutants there are."""

from tests.mutants import of_calls, of_lives, of_swaps

MUTANTS = (*of_calls.MUTANTS, *of_swaps.MUTANTS, *of_lives.MUTANTS)
