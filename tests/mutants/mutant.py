"""One fault put into the core on purpose, as a search and a replacement."""

import dataclasses
from pathlib import Path


class DoesNotApply(Exception):
    """The text to be replaced is not there exactly once: the mutant has to follow the code."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A rule that is broken. `file` is below `relay_supervisor/core`."""

    rule: str
    file: str
    old: str
    new: str

    def path(self, tree: Path) -> Path:
        """Its file in a tree."""
        return tree / "relay_supervisor" / "core" / self.file

    def apply(self, tree: Path) -> str:
        """Put the fault into a tree; returns the sound text.

        Raises:
            DoesNotApply: the file has changed.
        """
        path = self.path(tree)
        sound = path.read_text(encoding="utf-8")
        if (found := sound.count(self.old)) != 1:
            raise DoesNotApply(f"{self.rule}: found {found} times in {self.file}: {self.old!r}")
        path.write_text(sound.replace(self.old, self.new), encoding="utf-8")
        return sound
