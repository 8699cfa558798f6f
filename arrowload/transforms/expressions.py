"""SQL expressions, held to what is safe batch by batch.

An expression must look at one row at a time: an aggregate or a window would give another answer for every way of
cutting the rows into batches, and Polars accepts both. And no value may change in silence: see `guards`.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from polars.exceptions import PanicException, PolarsError

from arrowload.core.names import require_columns
from arrowload.transforms.guards import Guard, guards_of
from arrowload.transforms.sql_tree import ONE_ROW, dtype_of, expr_of, misfit, nodes, parse, refused, tree_of, variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

_WHAT_NODES_ARE: Final = {
    "Agg": "an aggregate",
    "Len": "an aggregate",
    "Over": "a window function",
    "Rolling": "a window function",
    "Explode": "a function that makes several rows of one",
    "SubPlan": "a subquery",
}
_WHAT_FUNCTIONS_ARE: Final = {
    "Rank": "a window function",
    "Shift": "a window function",
    "Strptime": "text read as a date in a format that is guessed from the rows around it",
}
_LENGTHS: Final = frozenset({"LenBytes", "LenChars", "Find", "Length", "CountOnes"})
_ROWWISE_SQL: Final = frozenset({"Binary", "IsIn", "ToFloat", "Round"})


class Expression(NamedTuple):
    """An expression that is known to be sound for frames of one schema.

    Attributes:
        text: As the recipe has it.
        expr: As Polars runs it.
        columns: The columns that it reads.
        dtype: Of its values.
        guards: To be evaluated beside it.
    """

    text: str
    expr: pl.Expr
    columns: tuple[str, ...]
    dtype: pl.DataType
    guards: tuple[Guard, ...]


def roots(text: str) -> list[str]:
    """The columns that `text` reads, each once.

    Raises:
        RecipeError: `text` is no SQL expression.
    """
    return list(dict.fromkeys(parse(text).meta.root_names()))


def compile_expression(text: str, frame: pl.LazyFrame, known: Sequence[str]) -> Expression:
    """`text` for frames of the schema of `frame`.

    Args:
        text: One SQL expression.
        frame: An empty frame that has at least the columns that `text` reads.
        known: The columns that a person may name, for hints.

    Raises:
        RecipeError: It is no SQL, names a column that is not there, does not fit the types, or looks at more than
            one row.
    """
    columns = tuple(roots(text))
    require_columns(columns, known)
    tree = tree_of(text, parse(text))
    _require_rowwise(text, tree)
    tree = _with_signed_lengths(tree)
    expr = expr_of(tree)
    try:
        frame.select(expr.alias("value")).collect()
    except (PolarsError, PanicException) as exc:
        raise misfit(text, exc) from exc
    guards = tuple(guards_of(text, tree, frame))
    return Expression(text, expr, columns, dtype_of(text, expr, frame), guards)


def _require_rowwise(text: str, tree: Any) -> None:
    for node, body in nodes(tree):
        what = _WHAT_NODES_ARE.get(node)
        if node == "Function" and not _is_rowwise(json.dumps(body["function"])):
            what = _WHAT_FUNCTIONS_ARE.get(variant(body["function"]), "a function of more than one row")
        elif node not in ("Function", "BinaryExpr", "Ternary", "Cast", "Alias", "Column", "Literal"):
            what = what or f"`{node}`, which looks at more than one row or is not known here"
        if what:
            raise refused(
                text,
                f"uses {what}",
                ONE_ROW
                if "text read as" not in what
                else "give the format, as in `strptime(a, '%d.%m.%Y')`, or use a `cast` step",
            )


@lru_cache(maxsize=512)
def _is_rowwise(function: str) -> bool:
    """Whether a function, by itself, makes row n of row n: asked of Polars with plain columns as its arguments."""
    parsed = json.loads(function)
    if isinstance(parsed, dict) and "Sql" in parsed:
        return variant(parsed) in _ROWWISE_SQL
    for count in range(1, 6):
        arguments = [{"Column": f"c{i}"} for i in range(count)]
        try:
            meta = expr_of({"Function": {"input": arguments, "function": parsed}}).meta
            return meta.is_row_separable() and meta.is_length_preserving()
        except (PolarsError, PanicException):
            continue
    return False


def _with_signed_lengths(tree: Any) -> Any:
    """Lengths and positions as int64: Polars counts in uint32, which would make `length(a) - 5` an error."""
    if isinstance(tree, list):
        return [_with_signed_lengths(item) for item in tree]
    if not isinstance(tree, dict) or "Literal" in tree:
        return tree
    made = {key: _with_signed_lengths(value) for key, value in tree.items()}
    function = made["Function"]["function"] if "Function" in made else None
    if function is not None and variant(function) in _LENGTHS:
        return {"Cast": {"expr": made, "dtype": {"Literal": "Int64"}, "options": "Strict"}}
    return made
