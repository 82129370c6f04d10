"""Backends behind HTTP: the transports in a thread of their own, and their life in the loop."""
