"""What the config Structs say about a value at a path: its fields, its choices, whether it is a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec.inspect as mi

from arrowload.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    import msgspec

    from arrowload.models.origins import Path


def types_at(struct: type[msgspec.Struct], value: Any, path: Path) -> list[mi.Type]:
    """The types that the value at `path` may have, unions taken apart.

    Args:
        struct: What `value` decodes to.
        value: A plain document; the tags in it choose between Structs.
        path: From the top of `value`.
    """
    found = _alternatives(mi.type_info(struct), value)
    for part in path:
        value = _item(value, part)
        found = [inner for kind in found for child in _child(kind, part) for inner in _alternatives(child, value)]
    return found


def fields_at(struct: type[msgspec.Struct], value: Any, path: Path) -> list[str]:
    """The keys that the mapping at `path` may have."""
    names = []
    for kind in types_at(struct, value, path):
        if isinstance(kind, mi.StructType):
            names += [field.encode_name for field in kind.fields]
            names += [kind.tag_field] if kind.tag_field else []
    return names


def choices_at(struct: type[msgspec.Struct], value: Any, path: Path) -> list[str]:
    """The words that the value at `path` may be: of a Literal, an Enum, or a tag."""
    choices = []
    for kind in types_at(struct, value, path):
        if isinstance(kind, mi.LiteralType):
            choices += [str(choice) for choice in kind.values]
        elif isinstance(kind, mi.EnumType):
            choices += [str(member.value) for member in kind.cls]
    if not choices and path:
        for kind in _flat(_unchosen(struct, value, path[:-1])):
            if isinstance(kind, mi.StructType) and kind.tag_field == path[-1]:
                choices.append(str(kind.tag))
    return choices


def secret_paths(struct: type[msgspec.Struct], value: Any) -> set[Path]:
    """The paths in `value` whose values decode to a Secret."""
    return set(_secrets(mi.type_info(struct), value, ()))


def _secrets(kind: mi.Type, value: Any, path: Path) -> Iterator[Path]:
    for alternative in _alternatives(kind, value):
        if isinstance(alternative, mi.CustomType) and issubclass(alternative.cls, Secret):
            yield path
        elif isinstance(value, dict | list):
            for part in value if isinstance(value, dict) else range(len(value)):
                for child in _child(alternative, part):
                    yield from _secrets(child, value[part], (*path, part))


def _unchosen(struct: type[msgspec.Struct], value: Any, path: Path) -> list[mi.Type]:
    """As `types_at`, with the last union left whole whatever the tag in `value` says."""
    if not path:
        return [mi.type_info(struct)]
    return [child for kind in types_at(struct, value, path[:-1]) for child in _child(kind, path[-1])]


def _flat(kinds: list[mi.Type]) -> Iterator[mi.Type]:
    for kind in kinds:
        if isinstance(kind, mi.Metadata):
            yield from _flat([kind.type])
        elif isinstance(kind, mi.UnionType):
            yield from _flat(list(kind.types))
        else:
            yield kind


def _alternatives(kind: mi.Type, value: Any) -> list[mi.Type]:
    """The members of a union; of tagged Structs only the one whose tag `value` has, if there is one."""
    flat = list(_flat([kind]))
    chosen: list[mi.Type] = [
        member
        for member in flat
        if isinstance(member, mi.StructType)
        and member.tag_field
        and isinstance(value, dict)
        and value.get(member.tag_field) == member.tag
    ]
    return chosen or flat


def _child(kind: mi.Type, part: str | int) -> list[mi.Type]:
    if isinstance(kind, mi.StructType):
        return [field.type for field in kind.fields if field.encode_name == part]
    if isinstance(kind, mi.DictType):
        return [kind.value_type]
    if isinstance(kind, mi.ListType | mi.VarTupleType | mi.SetType | mi.FrozenSetType):
        return [kind.item_type]
    if isinstance(kind, mi.TupleType) and isinstance(part, int):
        return list(kind.item_types[part : part + 1])
    return []


def _item(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return None
