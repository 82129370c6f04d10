"""The client that the suite's client scenarios start: the SDK's own, directly or through a relay.

`python -m tests.conformance.client direct|relay URL`. What it does with a server is the same for
all scenarios and both ways: see session.py. Only who logs in differs: the SDK's client by itself,
and with the relay the user, with `relayctl backend login`.
"""
