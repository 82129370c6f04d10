"""The disposable half: reads the configuration and speaks MCP to the backends.

It must never touch the client's stdio; all it has towards the client is the supervisor's pipe.
Its version is a release of its own: a worker may be newer or older than the supervisor above it.
"""

__version__ = "0.1.0"
