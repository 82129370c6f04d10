"""`python -m relay_supervisor`: the same as `mcp-relay`."""

from relay_supervisor.main import run

if __name__ == "__main__":
    run()
