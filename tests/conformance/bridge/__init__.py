"""A bridge from streamable HTTP to a server on stdio: the suite speaks only HTTP.

One process of the server for each legacy session, one for all of the modern era. It carries
messages, and renames what would clash on a shared pipe: request ids, progress tokens, subscription
ids. What HTTP itself asks of a server (sessions, headers, status codes, hosts) it does; everything
about MCP is the server's, right or wrong.
"""
