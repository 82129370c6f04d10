"""Recorded conversations of released versions, with the core of today in the supervisor's place."""

import pytest

from tests.unit.relay_supervisor.core.transcript_driver import TranscriptDriver
from tests.versions import archive, transcript


@pytest.mark.parametrize("version", archive.RELEASED)
def test_the_core_of_today_does_what_that_version_relied_on(version: str) -> None:
    """Its workers, its client and its relayctl; a swap from one of its workers to another too."""
    TranscriptDriver(transcript.read(version, "/somewhere")).play()
