"""A link on select.epoll, level-triggered (Linux only)."""

import select

from tests.bench.hop import link_from_argv
from tests.bench.hop_poll import run

if __name__ == "__main__":
    chain = link_from_argv()
    run(chain, select.epoll())
    chain.finish()
