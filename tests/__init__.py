"""The tests, as a package: they import the harness as `tests.harness` from wherever they run."""
