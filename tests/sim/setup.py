"""What workers are made of: releases that are sound or flawed, and configurations that change.

A configuration says which backends there are, each in one of several versions; the version is its
fingerprint. What tools a backend has depends on its version alone, so that a tool that is lost
without such a change is lost by a fault.
"""

import ast
import dataclasses
import random

from relay_supervisor.wire import cache, v1

SAFE_TOOL = "files__list"
"""The operator trusts its hint that it may be called again."""

WEB = "web"
"""A remote backend, which is the same in every configuration; see `remote`."""

WEB_TOOL = "web__find"

TOOLS = {
    "files": (("files__read", SAFE_TOOL), ("files__read", SAFE_TOOL, "files__new")),
    "slow": (("slow__think",), ("slow__think", "slow__deep"), ("slow__deep",)),
}
"""Tools of each version of each backend; versions go round."""

FLAWS = ("", "", "", "loses a tool", "sick backend", "bad check", "late bad check", "relay errors")
RELEASES = ("/python", "/r1", "/r2", "/r3")


@dataclasses.dataclass(frozen=True)
class Setup:
    """A pair of code and configuration."""

    build: str
    flaw: str
    versions: tuple[tuple[str, int], ...]
    adopts: bool
    """Its workers take backends over from one another."""

    @property
    def config(self) -> bytes:
        """The bytes of the configuration file."""
        return repr(self.versions).encode()

    @property
    def digest(self) -> str:
        return repr(self.versions)

    @property
    def prints(self) -> dict[str, str]:
        """The fingerprint of each backend."""
        return {name: str(version) for name, version in self.versions} | {WEB: "of the web"}

    @property
    def specs(self) -> dict[str, str]:
        """How the process of each backend is started: not every change is one of that."""
        return {name: str(version // 2) for name, version in self.versions}

    def infos(self) -> list[v1.BackendInfo]:
        """The backends as a worker reports them; one has a limit for its calls."""
        limits, specs = {"slow": 5.0}, self.specs if self.adopts else {}
        return [
            v1.BackendInfo(
                name,
                "http" if name == WEB else "stdio",
                limits.get(name),
                print_,
                specs.get(name, ""),
            )
            for name, print_ in self.prints.items()
        ]

    def tools(self, learned: set[str]) -> list[str]:
        """The tools of the backends that are learned."""
        found: list[str] = []
        for name, version in self.versions:
            if name in learned:
                found += TOOLS[name][version % len(TOOLS[name])]
        if self.flaw == "loses a tool":
            found = found[1:]
        return [*sorted(found), WEB_TOOL]

    def body(self, learned: set[str]) -> cache.Body:
        """The catalogue with these backends learned."""
        entries = [
            cache.Entry(tool, tool.partition("__")[0], b'{"name":"%s"}' % tool.encode(), repeatable)
            for tool in self.tools(learned)
            for repeatable in (tool == SAFE_TOOL,)
        ]
        resource = cache.Entry("file:///a", "files", b'{"uri":"file:///a"}')
        resources = [resource] if "files" in learned else []
        return cache.Body(tools=entries, resources=resources, capabilities=b'{"tools":{}}')


class Disk:
    """The releases that are installed, and the configuration file as it is now."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        flaws = FLAWS if rng.random() < 0.7 else ("",)
        self._flaws = {python: rng.choice(flaws) for python in RELEASES} | {"/python": ""}
        old = rng.choice((0.0, 0.0, 0.0, 0.0, 0.5, 1.0))
        self._adopts = {python: rng.random() >= old for python in RELEASES}
        self.versions: tuple[tuple[str, int], ...] = (("files", 0), ("slow", 0))

    def setup(self, python: str, config: bytes | None) -> Setup:
        """What a worker of this interpreter is, with a snapshot or with the file as it is."""
        versions = self.versions if config is None else ast.literal_eval(config.decode())
        return Setup(python[1:], self._flaws[python], versions, self._adopts[python])

    def edit(self) -> None:
        """Somebody changes the configuration: another version, one backend less or more."""
        versions = dict(self.versions)
        name = self._rng.choice(tuple(TOOLS))
        if name == "slow" and name in versions and self._rng.random() < 0.3:
            del versions[name]
        else:
            versions[name] = versions.get(name, 0) + 1
        self.versions = tuple(sorted(versions.items()))

    def repair(self) -> None:
        """All releases are sound from now on."""
        self._flaws = dict.fromkeys(self._flaws, "")
