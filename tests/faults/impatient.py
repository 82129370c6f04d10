"""`python -m tests.faults.impatient`: a relay that waits less long where no setting says how long.
It must change nothing else: what is tested is the supervisor as it is.
"""

from typing import Final

from relay_supervisor import main
from relay_supervisor.core import generation, heartbeat
from relay_supervisor.core.generation import Life

LIMIT_SECONDS: Final = {Life.SPAWNING: 2.0, Life.HANDSHAKING: 2.0, Life.WARMING: 2.0}
BEAT_SECONDS: Final = 0.7
SILENCE_SECONDS: Final = heartbeat.MISSES_MAX * BEAT_SECONDS


def run() -> None:
    """Be an impatient relay."""
    assert generation.LIMIT_SECONDS.keys() == LIMIT_SECONDS.keys()
    generation.LIMIT_SECONDS.update(LIMIT_SECONDS)  # type: ignore[attr-defined]
    heartbeat.INTERVAL_SECONDS = BEAT_SECONDS  # type: ignore[misc]
    main.run()


if __name__ == "__main__":
    run()
