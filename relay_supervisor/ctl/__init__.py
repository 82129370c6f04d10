"""relayctl: a program of its own that asks running relays over their control sockets.

The relay never imports it, so it may use click, rich and psutil, and of the worker's package
`relay_worker.config` alone. It lives for one command, and may wait, but never without a bound.
"""
