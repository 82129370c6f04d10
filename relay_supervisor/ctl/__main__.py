"""`python -m relay_supervisor.ctl`: relayctl where the script is not installed."""

from relay_supervisor.ctl.main import run

run()
