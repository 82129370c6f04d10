"""A link on select.poll: the floor's own loop."""

import select

from tests.bench.hop import Lane, Link, link_from_argv


def run(link: Link) -> None:
    """Serve until the client's input ends."""
    poll = select.poll()
    lanes = {link.up.source: link.up, link.down.source: link.down}
    blocked: dict[int, Lane] = {}
    for fd in [*lanes, *(read for read, _ in link.idle)]:
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _event in poll.poll():
            if (lane := lanes.get(fd)) is None:
                lane = blocked[fd]
                lane.on_writable()
                if not lane.backlog:
                    poll.unregister(fd)
                    del blocked[fd]
                continue
            if not lane.on_readable():
                return
            if lane.backlog and lane.sink not in blocked:
                blocked[lane.sink] = lane
                poll.register(lane.sink, select.POLLOUT)


if __name__ == "__main__":
    chain = link_from_argv()
    run(chain)
    chain.finish()
