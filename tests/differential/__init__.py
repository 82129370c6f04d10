"""Sessions made at random, each held twice: with a server directly, and through the relay.

What client and server have seen is compared as text, so that no spelling of a number gets lost on
the way to the comparison. `bridges` has all that may differ, and why.
"""
