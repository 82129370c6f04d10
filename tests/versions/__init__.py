"""Released versions, kept for ever: their sources, and whole conversations between their processes.

`python -m tests.versions COMMIT` keeps one more. tests/fixtures/versions/README.md says what for.
"""
