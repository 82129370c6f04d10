"""`python -m tests.evidence`: why the SDK's transports are not used for remote backends.

Tries with the installed SDK what docs/decisions/0009 says of it, against a small server in this
process, and prints what it saw. Nothing is asserted: with a later SDK, read it again.
"""

import asyncio
import importlib.metadata
import logging

from tests.evidence.sdk import told
from tests.evidence.trials import TRIALS, Trial


def main() -> None:
    """Try everything."""
    logging.disable(logging.CRITICAL)  # what the SDK logs is told below
    print(f"mcp {importlib.metadata.version('mcp')}: its transport under its raw dispatcher")
    for title, trial in TRIALS.items():
        print(f"\n{title}")
        asyncio.run(_show(trial))


async def _show(trial: Trial) -> None:
    try:
        seen = await trial()
    except Exception as error:  # noqa: BLE001 - a later SDK may not know these names any more
        print(f"  could not be tried: {told(error)}")
        return
    for one in seen:
        print(f"  {one.tried}\n    saw: {one.saw}")
        if one.why:
            print(f"    why it matters: {one.why}")


if __name__ == "__main__":
    main()
