"""SQL text as a Polars expression, and the expression as a tree of plain data.

The tree comes from `Expr.meta.serialize(format="json")`, and any part of it goes back by `Expr.deserialize`. Its form
is not stable from one Polars version to the next; whoever walks it refuses what is not known to be sound.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from polars.exceptions import PanicException, PolarsError

from arrowload.core.exceptions import RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE_ROW: Final = "an expression may read the columns of one row only, since rows come in batches"


def parse(text: str) -> pl.Expr:
    """The expression; raises RecipeError when `text` is no SQL, gives several columns or has a subquery."""
    try:
        expr = pl.sql_expr(text)
        several = expr.meta.has_multiple_outputs()
    except (PolarsError, PanicException) as exc:
        hint = "`strftime`, `extract` and a `cast` step do much of what it does" if "DATE_TRUNC" in str(exc) else None
        raise RecipeError(
            f"`{text}` is no SQL expression that Polars knows: {first_line(exc)}", context={"sql": text}, hint=hint
        ) from exc
    if several:
        raise refused(text, "gives several columns", "write one expression for each")
    if any(name.startswith("_POLARS_") for name in expr.meta.root_names()):
        raise refused(text, "uses a subquery", ONE_ROW)
    return expr


def tree_of(text: str, expr: pl.Expr) -> Any:
    """The expression as nested mappings of one key each: node → its parts."""
    try:
        return json.loads(expr.meta.serialize(format="json") or "null")
    except (PolarsError, PanicException) as exc:
        what = "uses a subquery" if "subplan" in str(exc) else "cannot be used here"
        raise refused(text, what, ONE_ROW) from exc


def dtype_of(text: str, expr: pl.Expr, frame: pl.LazyFrame) -> pl.DataType:
    """The type of its values in `frame`; raises RecipeError when it does not fit the types there."""
    try:
        return frame.select(expr.alias("value")).collect_schema()["value"]
    except (PolarsError, PanicException) as exc:
        raise misfit(text, exc) from exc


def misfit(text: str, error: BaseException) -> RecipeError:
    """The error for an expression that Polars cannot apply to the types of its columns."""
    message = f"`{text}` does not fit the types of its columns: {first_line(error)}"
    return RecipeError(message, context={"sql": text}, hint="cast a column in a step before, or `cast(… as …)` here")


def refused(text: str, what: str, hint: str) -> RecipeError:
    """The error for an expression that is sound SQL and cannot be allowed."""
    return RecipeError(f"`{text}` {what}", context={"sql": text}, hint=hint)


def first_line(error: BaseException) -> str:
    """What Polars says first; the rest is its own plan."""
    return str(error).strip().partition("\n")[0]


def expr_of(tree: Any) -> pl.Expr:
    """The expression of a tree, or of a part of one."""
    return pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")


def nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    """All nodes with their parts, from the top; what is below a node that is not known is left out."""
    if isinstance(tree, str):
        yield tree, None
        return
    ((node, body),) = tree.items()
    yield node, body
    for child in children(node, body):
        yield from nodes(child)


def children(node: str, body: Any) -> list[Any]:
    """The parts of a node that are expressions themselves."""
    match node:
        case "Function":
            return list(body["input"])
        case "BinaryExpr":
            return [body["left"], body["right"]]
        case "Ternary":
            return [body["predicate"], body["truthy"], body["falsy"]]
        case "Cast":
            return [body["expr"]]
        case "Alias":
            return [body[0]]
    return []


def variant(function: Any) -> str:
    """The innermost name of a function: `Strptime` of `{"StringExpr": {"Strptime": …}}`, `Abs` of `"Abs"`."""
    if isinstance(function, str):
        return function
    name, inner = next(iter(function.items()))
    is_family = name.endswith("Expr") or name in ("Sql", "Boolean", "Bitwise", "Pow")
    return variant(inner) if is_family else str(name)
