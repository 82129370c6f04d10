"""`python -m relay_worker --fds IN,OUT,SOCK,LIFE`: started by the supervisor only."""

from relay_worker.main import run

run()
