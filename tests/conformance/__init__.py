"""The official conformance suite against servers and clients, with and without the relay between.

`python -m tests.conformance` (or `make conformance`) writes docs/conformance.md. Nothing here is
part of the relay, and nothing here may make up for what the relay does not do: the bridge carries
messages between HTTP and stdio, and is measured by itself, too.
"""
