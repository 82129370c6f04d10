"""All mutants there are."""

from tests.mutants import (
    of_calls,
    of_custody,
    of_errands,
    of_lives,
    of_parking,
    of_reexec,
    of_swaps,
)

MUTANTS = (
    *of_calls.MUTANTS,
    *of_custody.MUTANTS,
    *of_errands.MUTANTS,
    *of_swaps.MUTANTS,
    *of_lives.MUTANTS,
    *of_reexec.MUTANTS,
    *of_parking.MUTANTS,
)
