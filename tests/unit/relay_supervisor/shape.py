"""The shape of what one process image leaves for the next, a line for each member of each Struct.

python -m tests.unit.relay_supervisor.shape    writes it down; only before its schema is released
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from msgspec import inspect

from relay_supervisor.core.memory import Memory
from relay_supervisor.core.sealed import SCHEMA
from relay_supervisor.image import Image

GOLDEN: Final = Path(__file__).parent / "golden"


def path_of(schema: int) -> Path:
    """Where the shape of a schema is written down."""
    return GOLDEN / f"state-{schema}.shape"


def shape() -> str:
    """The shape as it is now."""
    structs: dict[str, inspect.StructType] = {}
    for root in (Image, Memory):
        _collect(inspect.type_info(root), structs)
    return "".join(f"{line}\n" for name in sorted(structs) for line in _lines(structs[name]))


def _lines(struct: inspect.StructType) -> Iterator[str]:
    for field in struct.fields:
        default = "" if field.required else " = default"
        yield f"{struct.cls.__name__}.{field.encode_name}: {_words(field.type)}{default}"


def _parts(kind: Any) -> list[Any]:
    """The types that a type is made of."""
    names = ("item_type", "item_types", "key_type", "value_type", "types")
    found: list[Any] = []
    for name in names:
        part = getattr(kind, name, ())
        found += part if isinstance(part, tuple) else [part]
    return found


def _words(kind: Any) -> str:
    if isinstance(kind, inspect.StructType):
        return kind.cls.__name__
    if isinstance(kind, inspect.EnumType):
        values = ", ".join(sorted(repr(member.value) for member in kind.cls))
        return f"{kind.cls.__name__}({values})"
    inner = ", ".join(_words(part) for part in _parts(kind))
    name = type(kind).__name__.removesuffix("Type").lower()
    return f"{name}[{inner}]" if inner else name


def _collect(kind: Any, found: dict[str, inspect.StructType]) -> None:
    if isinstance(kind, inspect.StructType):
        if kind.cls.__name__ in found:
            return
        found[kind.cls.__name__] = kind
        for field in kind.fields:
            _collect(field.type, found)
    for part in _parts(kind):
        _collect(part, found)


if __name__ == "__main__":
    path_of(SCHEMA).write_text(shape(), encoding="utf-8")
