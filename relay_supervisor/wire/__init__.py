"""What crosses a process boundary: messages, framing, versions, the cache file's format.

The supervisor owns this contract and the worker imports it, each from its own release, so the
two sides may be of different versions. Everything here is add-only: a released field is never
retyped, reordered or removed, new fields have defaults, new messages have new tags. Nothing
here opens a file or a socket, and nothing here knows MCP.
"""
