"""`python -m relay_worker --fds IN,OUT,SOCK,LIFE --ledger FD`: started by the supervisor only.

The build is looked at before the code is loaded: were a file changed in between, the worker would
have a label older than its code, and the next swap would see the change. The other way round it
would miss it. And the supervisor's life is watched before anything is loaded that may hang.
"""

import sys

from relay_worker.build import build

BUILD = build()

from relay_worker.arguments import parse  # noqa: E402
from relay_worker.life import Life  # noqa: E402

ARGUMENTS = parse(sys.argv[1:])
LIFE = Life(ARGUMENTS.life)
LIFE.start()

from relay_worker.main import run  # noqa: E402

run(ARGUMENTS, LIFE, BUILD)
