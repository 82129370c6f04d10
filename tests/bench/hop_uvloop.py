"""A link on uvloop's add_reader and add_writer with our own buffers."""

import uvloop

from tests.bench.hop import link_from_argv
from tests.bench.hop_asyncio import run

if __name__ == "__main__":
    chain = link_from_argv()
    run(chain, uvloop.new_event_loop())
    chain.finish()
