"""A link on select.epoll, level-triggered (Linux only)."""

import select

from tests.bench.hop import Lane, Link, link_from_argv


def run(link: Link) -> None:
    """Serve until the client's input ends."""
    epoll = select.epoll()
    lanes = {link.up.source: link.up, link.down.source: link.down}
    blocked: dict[int, Lane] = {}
    for fd in [*lanes, *(read for read, _ in link.idle)]:
        epoll.register(fd, select.EPOLLIN)
    while True:
        for fd, _event in epoll.poll():
            if (lane := lanes.get(fd)) is None:
                lane = blocked[fd]
                lane.on_writable()
                if not lane.backlog:
                    epoll.unregister(fd)
                    del blocked[fd]
                continue
            if not lane.on_readable():
                return
            if lane.backlog and lane.sink not in blocked:
                blocked[lane.sink] = lane
                epoll.register(lane.sink, select.EPOLLOUT)


if __name__ == "__main__":
    chain = link_from_argv()
    run(chain)
    chain.finish()
