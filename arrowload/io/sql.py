"""SQL text: names and literals quoted for Postgres and DuckDB, which share the standard's rules."""

from __future__ import annotations

from typing import NamedTuple

from arrowload.core.exceptions import RecipeError


def quote_identifier(name: str) -> str:
    """`name` as a delimited identifier.

    Raises:
        RecipeError: It is empty or holds a NUL, which no SQL name can.
    """
    if not name or "\0" in name:
        raise RecipeError(f"{name!r} cannot be the name of a table or column", hint="choose a name without NUL")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """`text` as a string literal; relies on `standard_conforming_strings`, the default of both.

    Raises:
        RecipeError: It holds a NUL, which no SQL text can.
    """
    if "\0" in text:
        raise RecipeError("a NUL character cannot be part of an SQL text")
    return "'" + text.replace("'", "''") + "'"


class TableName(NamedTuple):
    """A table and the schema that it is in."""

    schema: str
    table: str

    @classmethod
    def parse(cls, text: str, *, default_schema: str) -> TableName:
        """Read `table`, `schema.table` or `"odd.schema"."odd table"`.

        Raises:
            RecipeError: `text` is none of these.
        """
        parts: list[str] = []
        rest = text
        while True:
            if rest.startswith('"'):
                end = 1
                while (end := rest.find('"', end)) != -1 and rest[end : end + 2] == '""':
                    end += 2
                if end == -1:
                    break
                part, rest = rest[1:end].replace('""', '"'), rest[end + 1 :]
            else:
                end = rest.find(".")
                part, rest = (rest, "") if end == -1 else (rest[:end], rest[end:])
            parts.append(part)
            if not rest.startswith("."):
                break
            rest = rest[1:]
        if rest or not all(parts) or len(parts) not in (1, 2):
            raise RecipeError(f"`{text}` is not a table name", hint="write `table` or `schema.table`")
        return cls(*parts) if len(parts) == 2 else cls(default_schema, parts[0])

    def sql(self) -> str:
        """The name, quoted."""
        return f"{quote_identifier(self.schema)}.{quote_identifier(self.table)}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"
