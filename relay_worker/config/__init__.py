"""The configuration: where it is, what it says, what is wrong with it, what it expands to.

Nothing here writes a file, starts a process or logs. Reading blocks, so it belongs off the loop.
"""
