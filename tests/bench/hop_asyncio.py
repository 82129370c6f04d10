"""A link on an event loop's add_reader and add_writer with our own buffers (asyncio's loop)."""

import asyncio

from tests.bench.hop import Lane, Link, link_from_argv


def run(link: Link, loop: asyncio.AbstractEventLoop) -> None:
    """Serve until the client's input ends."""

    def on_writable(lane: Lane) -> None:
        lane.on_writable()
        if not lane.backlog:
            loop.remove_writer(lane.sink)

    def on_readable(lane: Lane) -> None:
        if not lane.on_readable():
            loop.stop()
        elif lane.backlog:
            loop.add_writer(lane.sink, on_writable, lane)

    for lane in (link.up, link.down):
        loop.add_reader(lane.source, on_readable, lane)
    for read, _ in link.idle:
        loop.add_reader(read, on_readable, link.up)
    loop.run_forever()


if __name__ == "__main__":
    chain = link_from_argv()
    run(chain, asyncio.new_event_loop())
    chain.finish()
