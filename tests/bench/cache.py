"""Where the bench keeps what it compiles and installs: `.bench` in the repository, not in git."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".bench"
