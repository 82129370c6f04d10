"""The tests, as a package: so that they import the harness as `tests.harness` from wherever they run."""
