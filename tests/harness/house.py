"""The house rules as functions of source text; tests/test_house.py applies and tries them.

Each takes (path within the repository, text) and returns what it found, one line each.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 400

# What the supervisor must never load, be it through what it imports.
FORBIDDEN_IN_SUPERVISOR = {
    "mcp",
    "asyncio",
    "yaml",
    "psutil",
    "portalocker",
    "logging",
    "subprocess",
    "click",
    "rich",
    "relay_worker",
}
# The supervisor's third-party imports; ctl is a program of its own.
SUPERVISOR_MAY = {"msgspec", "relay_supervisor"}
CTL_ONLY_OF_WORKER = ("relay_worker.config", "relay_worker.files", "relay_worker.oauth")
CORE_MAY_OF_SUPERVISOR = ("core", "wire", "errors")
# No I/O and no clock in the core: these would bring one in.
FORBIDDEN_IN_CORE = {
    "os",
    "io",
    "time",
    "socket",
    "select",
    "selectors",
    "signal",
    "threading",
    "datetime",
    "pathlib",
    "tempfile",
    "fcntl",
    "mmap",
}
# The floor all adapters stand on; it imports none of them.
ADAPTERS_FLOOR = "relay_supervisor.adapters.loop"

# Of one person's machine; documentation may speak of "you".
MACHINE_PATH = re.compile(r"(?<![\w.}/~-])/(?:home|Users|root|work)/(?!you\b|me\b)[\w.-]+")
URL_HOST = re.compile(r"\b(?:https?|wss?|ssh|git)://(?:[^/@\s]*@)?([\w.-]+)", re.IGNORECASE)
HOST_ALLOWED = re.compile(
    r"^[a-z]$|(?:^|\.)(?:example|invalid|test|localhost|example\.(?:com|org|net)|127\.0\.0\.1"
    r"|conformance-test\.local"  # a name in the protocol's conformance suite
    r"|modelcontextprotocol\.io|json-schema\.org|github\.com|keepachangelog\.com|semver\.org)$",
    re.IGNORECASE,
)
REGISTRY = re.compile(r"npmjs\.|pypi\.org|pythonhosted\.|crates\.io|index[-_]url")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import; `from a import b` gives a.b, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{node.module or '.'}.{alias.name}"


def within(module: str, package: str) -> bool:
    """True if module is package or below it."""
    return module == package or module.startswith(package + ".")


def broken_arrows(path: str, source: str) -> list[str]:
    """Imports that point the wrong way, for a file at this path within the repository."""
    parts = Path(path).parts
    found = []
    for line, module in imports(ast.parse(source)):
        if reason := why_not(path, parts, module):
            found.append(f"{path}:{line}: {module}: {reason}")
    return found


def why_not(path: str, parts: tuple[str, ...], module: str) -> str | None:
    """The rule an import breaks, or None."""
    if parts[0] == "relay_worker":
        return why_not_in_worker(module)
    if parts[1:2] == ("ctl",):
        return why_not_in_ctl(module)
    return why_not_in_supervisor(parts, module)


def why_not_in_worker(module: str) -> str | None:
    """relay_worker sees of the supervisor only the wire."""
    if not within(module, "relay_supervisor") or within(module, "relay_supervisor.wire"):
        return None
    return "relay_worker may import only relay_supervisor.wire"


def why_not_in_ctl(module: str) -> str | None:
    """relayctl speaks the control messages, and edits configurations."""
    of_worker = within(module, "relay_worker")
    if of_worker and not any(within(module, one) for one in CTL_ONLY_OF_WORKER):
        return f"ctl may import only {', '.join(CTL_ONLY_OF_WORKER)} of the worker"
    if any(within(module, f"relay_supervisor.{room}") for room in ("core", "adapters")):
        return "ctl speaks the control messages, it has no core and no adapters"
    return None


def why_not_in_supervisor(parts: tuple[str, ...], module: str) -> str | None:
    """Thin; and the core has no I/O, the wire knows nobody, adapters do not know one another."""
    top = module.split(".", maxsplit=1)[0]
    if top in FORBIDDEN_IN_SUPERVISOR:
        return "never in the supervisor"
    if top not in SUPERVISOR_MAY and top not in sys.stdlib_module_names:
        return "the supervisor imports the standard library and msgspec only"
    if within(module, "relay_supervisor.ctl"):
        return "relayctl is a program of its own"
    room = parts[1] if len(parts) > 2 else ""
    signal_number = module.startswith("signal.SIG")  # a number, as the core's effects carry
    if room == "core" and top in FORBIDDEN_IN_CORE and not signal_number:
        return "the core has no I/O and no clock"
    target = module.split(".")[1] if top == "relay_supervisor" and "." in module else None
    if target is None:
        return None
    if room == "core" and target not in CORE_MAY_OF_SUPERVISOR:
        return "core imports only wire and errors"
    if room == "wire" and target not in ("wire", "errors"):
        return "wire imports only errors"
    if room == "adapters" and target == "adapters" and not within(module, ADAPTERS_FLOOR):
        return "adapters never import one another"
    return None


def late_imports(path: str, source: str) -> list[str]:
    """Imports within functions: the files under a running supervisor may have been replaced."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            found += [f"{path}:{line}: {module}" for line, module in imports(function)]
    return found


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function has, from `def` to its end, without the docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def long_functions(path: str, source: str) -> list[str]:
    """Functions over the limit."""
    return [
        f"{path}:{node.lineno}: {node.name} has {body_lines(node)} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and body_lines(node) > FUNCTION_LINES_MAX
    ]


def long_module(path: str, source: str) -> list[str]:
    """A module over the limit."""
    lines = len(source.splitlines())
    return [f"{path}: {lines} lines"] if lines > MODULE_LINES_MAX else []


def undocumented(path: str, source: str) -> list[str]:
    """Modules that do not say what they are for."""
    tree = ast.parse(source)
    return [] if ast.get_docstring(tree) or not tree.body else [f"{path}: no module docstring"]


def sleeps(path: str, source: str) -> list[str]:
    """Calls of anything named sleep: tests wait for events, within a bound."""
    return [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and (ast.unparse(node.func) == "sleep" or ast.unparse(node.func).endswith(".sleep"))
    ]


def named_machines(path: str, text: str) -> list[str]:
    """Paths of somebody's machine, registries, and hosts of URLs that are not documentation's."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        hosts = [host for host in URL_HOST.findall(line) if not HOST_ALLOWED.search(host)]
        found += [
            f"{path}:{number}: {bad}"
            for bad in [*hosts, *MACHINE_PATH.findall(line), *REGISTRY.findall(line)]
        ]
    return found
