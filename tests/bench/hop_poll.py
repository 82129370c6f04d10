"""A link on select.poll: the floor's own loop."""

import select

from tests.bench.hop import Lane, Link, link_from_argv


def run(link: Link, poller: "select.poll | select.epoll") -> None:
    """Serve until the client's input ends. An epoll's masks are the same numbers as a poll's."""
    lanes = {link.up.source: link.up, link.down.source: link.down}
    blocked: dict[int, Lane] = {}
    for fd in [*lanes, *(read for read, _ in link.idle)]:
        poller.register(fd, select.POLLIN)
    while True:
        for fd, _event in poller.poll():
            if (lane := lanes.get(fd)) is None:
                lane = blocked[fd]
                lane.on_writable()
                if not lane.backlog:
                    poller.unregister(fd)
                    del blocked[fd]
                continue
            if not lane.on_readable():
                return
            if lane.backlog and lane.sink not in blocked:
                blocked[lane.sink] = lane
                poller.register(lane.sink, select.POLLOUT)


if __name__ == "__main__":
    chain = link_from_argv()
    run(chain, select.poll())
    chain.finish()
