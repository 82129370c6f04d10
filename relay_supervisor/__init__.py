"""The immortal half: owns the client's stdio, and outlives every worker.

Holds the version only. It must import nothing: whoever imports the wire messages imports this too.
"""

__version__ = "0.1.0"
