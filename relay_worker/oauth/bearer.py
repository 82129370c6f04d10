"""Stub."""

import httpx2


class Bearer(httpx2.Auth):
    def __init__(self, url: str, tokens: str) -> None: ...
