"""What the tests of the configuration share."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from relay_worker.config.load import Loaded, load_bytes

Loader = Callable[..., Loaded]


@pytest.fixture
def loaded() -> Loader:
    """Loads a text as if it were the file /etc/relay.yaml; `environ` is empty by default."""

    def load_text(text: str | bytes, environ: Mapping[str, str] | None = None) -> Loaded:
        raw = text if isinstance(text, bytes) else text.encode()
        return load_bytes(raw, Path("/etc/relay.yaml"), environ or {})

    return load_text
