"""A link on selectors.DefaultSelector: epoll on Linux, kqueue on macOS."""

import selectors

from tests.bench.hop import Link, link_from_argv


def run(link: Link) -> None:
    """Serve until the client's input ends."""
    selector = selectors.DefaultSelector()
    for lane in (link.up, link.down):
        selector.register(lane.source, selectors.EVENT_READ, lane)
    for read, _ in link.idle:
        selector.register(read, selectors.EVENT_READ)
    while True:
        for key, event in selector.select():
            lane = key.data
            if event & selectors.EVENT_WRITE:
                lane.on_writable()
                if not lane.backlog:
                    selector.unregister(key.fd)
                continue
            if not lane.on_readable():
                return
            if lane.backlog and lane.sink not in selector.get_map():
                selector.register(lane.sink, selectors.EVENT_WRITE, lane)


if __name__ == "__main__":
    chain = link_from_argv()
    run(chain)
    chain.finish()
