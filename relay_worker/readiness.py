"""When this worker may take over: what it offers is known, and the configured checks have run.

It never judges: a failed check is reported, and Ready follows all the same. It follows also when
backends take too long, or nobody could choose to go on without them.
"""

from collections.abc import Callable
from typing import Final

from relay_supervisor.wire import handshake, v1
from relay_worker.checks import DETAIL_CHARS_MAX, Checks
from relay_worker.config.model import RelaySettings
from relay_worker.loop import Loop

LISTS_SHARE: Final = 0.75
CHECKS_SHARE: Final = 0.95
"""Parts of `ready_seconds_max` after which lists, then checks, are not waited for any longer."""

CONFIGURATION: Final = "configuration"
"""Stands for the tool in the result of the first check of all: that the file says anything."""


class Readiness:
    """Says Ready, once. *broken* is why nothing of the configuration could be used."""

    def __init__(
        self,
        checks: Checks,
        loop: Loop,
        send: Callable[..., None],
        *,
        hello: handshake.Hello,
        settings: RelaySettings,
        broken: str | None,
    ) -> None:
        self._checks = checks
        self._send = send
        self._hello = hello
        self._begun = False
        self._failed = []
        if broken is not None:
            result = v1.CheckResult(CONFIGURATION, False, 0.0, broken[:DETAIL_CHARS_MAX])
            self._failed.append(result)
        self._checks_until = loop.now + CHECKS_SHARE * settings.ready_seconds_max
        self._timer = loop.after(LISTS_SHARE * settings.ready_seconds_max, self.begin)

    def begin(self) -> None:
        """Nothing is missing any more of what is to be offered: the checks are due."""
        if self._begun:
            return
        self._begun = True
        self._timer.cancel()
        self._checks.run(self._report_ready, serving=False, until=self._checks_until)

    def run_checks(self, message: v1.RunChecks, _payload: bytes) -> None:
        """Run the checks that could not be run before this worker served."""

        def report(results: list[v1.CheckResult]) -> None:
            self._send(v1.Checked(message.token, results))

        self._checks.run(report, serving=True)

    def _report_ready(self, results: list[v1.CheckResult]) -> None:
        self._send(v1.Checked(0, self._failed + results))
        self._send(v1.Ready(self._hello.generation, self._hello.nonce))
