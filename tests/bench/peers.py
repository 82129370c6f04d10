"""Other relays, installable from a registry, each in an environment of its own below `.bench`.

The newest version that the registry has is taken, once, and told in the report. One that cannot be
had is skipped with its reason. To add one: its requirement, its command, and the name its echo tool
gets.
"""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bench import cache
from tests.bench.contestants import REPOSITORY, Contestant, Unavailable, module

INSTALL_SECONDS_MAX = 300.0
INSTALLED = "installed"
"""Written last: names the version. Without it the folder is not to be used."""


def pip(name: str, package: str) -> Callable[[], str]:
    """What installs a Python package into an environment of its own."""

    def install(folder: Path) -> str:
        _run([sys.executable, "-m", "venv", str(folder)])
        python = str(folder / "bin" / "python")
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package])
        about = f"from importlib.metadata import version; print(version({package!r}))"
        return f"{package} {_run([python, '-c', about]).strip()}"

    return lambda: _once(name, install)


def npm(name: str, *packages: str) -> Callable[[], str]:
    """What installs packages for Node into a folder of their own."""

    def install(folder: Path) -> str:
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise Unavailable("node and npm are not installed")
        options = ["--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        _run(["npm", "install", *options, "--prefix", str(folder), *packages])
        manifests = [folder / "node_modules" / package / "package.json" for package in packages]
        found = [json.loads(manifest.read_text()) for manifest in manifests]
        return ", ".join(f"{each['name']} {each['version']}" for each in found)

    return lambda: _once(name, install)


def _once(name: str, install: Callable[[Path], str]) -> str:
    folder = cache.FOLDER / name
    marker = folder / INSTALLED
    if not marker.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        marker.write_text(install(folder))
    return marker.read_text()


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{' '.join(command[:3])}: {error}") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if "error" in line.lower()]
        raise Unavailable(f"cannot be installed here: {' '.join(lines[-2:])[-300:]}")
    return done.stdout


def _servers(folder: Path, backend: list[str]) -> Path:
    """A file in the format that most clients and relays read."""
    file = folder / "servers.json"
    # Not everybody hands the environment on.
    paths = {"PYTHONPATH": str(REPOSITORY)}
    entry = {"command": backend[0], "args": backend[1:], "env": paths}
    file.write_text(json.dumps({"mcpServers": {"echo": entry}}))
    return file


def _python(name: str) -> str:
    return str(cache.FOLDER / name / "bin" / "python")


def _script(name: str) -> str:
    """A program of a Python package's, named like its environment."""
    return str(cache.FOLDER / name / "bin" / name)


def _node(name: str, program: str) -> str:
    return str(cache.FOLDER / name / "node_modules" / ".bin" / program)


def _bridge(server: list[str], client: list[str]) -> list[str]:
    """Two programs with HTTP between them; `{port}` is a free one."""
    return [*module("bridge"), *server, "--", *client]


def _fastmcp_run(servers: Path) -> list[str]:
    return [_script("fastmcp"), "run", str(servers), "--no-banner"]


def _mcp_proxy(backend: list[str]) -> list[str]:
    program = _script("mcp-proxy")
    server = [program, "--pass-environment", "--port", "{port}", "--", *backend]
    return _bridge(server, [program, "http://127.0.0.1:{port}/sse"])


def _mcp_hub(servers: Path) -> list[str]:
    server = [_node("mcp-hub", "mcp-hub"), "--port", "{port}", "--config", str(servers)]
    return _bridge(server, [_node("mcp-hub", "mcp-remote"), "http://127.0.0.1:{port}/mcp"])


def _supergateway(backend: list[str]) -> list[str]:
    program = _node("supergateway", "supergateway")
    options = ["--outputTransport", "streamableHttp", "--stateful", "--port", "{port}"]
    server = [program, *options, "--logLevel", "none", "--stdio", shlex.join(backend)]
    client = [program, "--logLevel", "none", "--streamableHttp", "http://127.0.0.1:{port}/mcp"]
    return _bridge(server, client)


def _mcp_proxy_npm(backend: list[str]) -> list[str]:
    program = _node("mcp-proxy-npm", "mcp-proxy")
    server = [program, "--host", "127.0.0.1", "--port", "{port}", "--", *backend]
    return _bridge(server, [_node("mcp-proxy-npm", "mcp-remote"), "http://127.0.0.1:{port}/mcp"])


_PROXY = Path(__file__).with_name("fastmcp_proxy.py")

PEERS = (
    Contestant(
        "fastmcp-proxy",
        "FastMCP's proxy, one session with the backend",
        "echo",
        lambda _, backend: [_python("fastmcp"), str(_PROXY), *backend],
        share=0.05,
        ours=False,
        prepare=pip("fastmcp", "fastmcp"),
    ),
    Contestant(
        "fastmcp-run",
        "`fastmcp run` with a file of servers, as its documentation has it",
        "echo",
        lambda folder, backend: _fastmcp_run(_servers(folder, backend)),
        share=0.05,
        ours=False,
        prepare=pip("fastmcp", "fastmcp"),
    ),
    Contestant(
        "mcp-proxy",
        "the mcp-proxy of PyPI twice, SSE between them",
        "echo",
        lambda _, backend: _mcp_proxy(backend),
        share=0.05,
        ours=False,
        prepare=pip("mcp-proxy", "mcp-proxy"),
    ),
    Contestant(
        "mcp-hub",
        "the mcp-hub of npm, and mcp-remote to reach it over HTTP",
        "echo__echo",
        lambda folder, backend: _mcp_hub(_servers(folder, backend)),
        share=0.05,
        ours=False,
        prepare=npm("mcp-hub", "mcp-hub", "mcp-remote"),
    ),
    Contestant(
        "supergateway",
        "the supergateway of npm twice, streamable HTTP between them",
        "echo",
        lambda _, backend: _supergateway(backend),
        share=0.05,
        ours=False,
        prepare=npm("supergateway", "supergateway"),
    ),
    Contestant(
        "mcp-proxy-npm",
        "the mcp-proxy of npm, and mcp-remote to reach it over HTTP",
        "echo",
        lambda _, backend: _mcp_proxy_npm(backend),
        share=0.05,
        ours=False,
        prepare=npm("mcp-proxy-npm", "mcp-proxy", "mcp-remote"),
    ),
)
