"""Benchmarks: `python -m tests.bench` (make bench) and `python -m tests.bench.loops`.

Nothing here asserts a time. Ratios within one run mean something; absolute figures drift by tens
of percent between runs and machines.
"""
