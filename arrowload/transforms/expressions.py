"""SQL expressions: parsed by Polars' SQL front end, and held to what is safe batch by batch.

Two things are added to what Polars does. An expression must look at one row at a time: an aggregate or a window would
give another answer for every way of cutting the rows into batches, and Polars accepts both. And integers must not
change in silence: Polars wraps what overflows and turns a division by zero into NULL, so each such operation gets a
guard, a condition that is true for the rows where it goes wrong. Decimals need none: Polars refuses them itself.

The tree comes from `Expr.meta.serialize(format="json")` and parts of it go back by `Expr.deserialize`. Its form is not
stable from one Polars version to the next; what is not known here is refused, never let through.
"""

from __future__ import annotations

import io
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl
from polars.exceptions import PanicException, PolarsError

from arrowload.core.exceptions import RecipeError
from arrowload.transforms.base import require_columns
from arrowload.transforms.polars_types import dtype_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ONE_ROW: Final = "an expression may read the columns of one row only, since rows come in batches"
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
_ALWAYS: Final = pl.lit(value=True)
_WIDE: Final = pl.Decimal(38, 18)
_SIGNED_BITS: Final[dict[type[pl.DataType], int]] = {pl.Int8: 8, pl.Int16: 16, pl.Int32: 32, pl.Int64: 64}
_ROWWISE_SQL: Final = frozenset({"Binary", "IsIn", "ToFloat", "Round"})
_ARITHMETIC: Final = {"Plus": "+", "Minus": "-", "Multiply": "*"}
_SQL_ARITHMETIC: Final = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "IntDiv": "//", "Rem": "%"}


class Guard(NamedTuple):
    """A condition that is true for the rows that an operation would damage, and what it would do to them."""

    fails: pl.Expr
    reason: str


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
    return list(dict.fromkeys(_parse(text).meta.root_names()))


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
    tree = _tree(text, _parse(text))
    _require_rowwise(text, tree)
    tree = _with_signed_lengths(tree)
    expr = _expr(tree)
    try:
        frame.select(expr.alias("value")).collect()
    except (PolarsError, PanicException) as exc:
        raise _misfit(text, exc) from exc
    return Expression(text, expr, columns, _dtype(text, expr, frame), tuple(_guards(text, tree, frame, _ALWAYS)))


def _parse(text: str) -> pl.Expr:
    try:
        expr = pl.sql_expr(text)
        several = expr.meta.has_multiple_outputs()
    except (PolarsError, PanicException) as exc:
        hint = "`strftime`, `extract` and a `cast` step do much of what it does" if "DATE_TRUNC" in str(exc) else None
        raise RecipeError(
            f"`{text}` is no SQL expression that Polars knows: {first_line(exc)}", context={"sql": text}, hint=hint
        ) from exc
    if several:
        raise _refused(text, "gives several columns", "write one expression for each")
    if any(name.startswith("_POLARS_") for name in expr.meta.root_names()):
        raise _refused(text, "uses a subquery", _ONE_ROW)
    return expr


def _tree(text: str, expr: pl.Expr) -> Any:
    try:
        return json.loads(expr.meta.serialize(format="json") or "null")
    except (PolarsError, PanicException) as exc:
        what = "uses a subquery" if "subplan" in str(exc) else "cannot be used here"
        raise _refused(text, what, _ONE_ROW) from exc


def _dtype(text: str, expr: pl.Expr, frame: pl.LazyFrame) -> pl.DataType:
    try:
        return frame.select(expr.alias("value")).collect_schema()["value"]
    except (PolarsError, PanicException) as exc:
        raise _misfit(text, exc) from exc


def _misfit(text: str, error: BaseException) -> RecipeError:
    message = f"`{text}` does not fit the types of its columns: {first_line(error)}"
    return RecipeError(message, context={"sql": text}, hint="cast a column in a step before, or `cast(… as …)` here")


def _refused(text: str, what: str, hint: str) -> RecipeError:
    return RecipeError(f"`{text}` {what}", context={"sql": text}, hint=hint)


def first_line(error: BaseException) -> str:
    """What Polars says first; the rest is its own plan."""
    return str(error).strip().partition("\n")[0]


# ---------------------------------------------------------------- one row at a time


def _require_rowwise(text: str, tree: Any) -> None:
    for node, body in _nodes(tree):
        what = _WHAT_NODES_ARE.get(node)
        if node == "Function" and not _is_rowwise(json.dumps(body["function"])):
            what = _WHAT_FUNCTIONS_ARE.get(_variant(body["function"]), "a function of more than one row")
        elif node not in ("Function", "BinaryExpr", "Ternary", "Cast", "Alias", "Column", "Literal"):
            what = what or f"`{node}`, which looks at more than one row or is not known here"
        if what:
            raise _refused(
                text,
                f"uses {what}",
                _ONE_ROW
                if "text read as" not in what
                else "give the format, as in `strptime(a, '%d.%m.%Y')`, or use a `cast` step",
            )


def _nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, str):
        yield tree, None
        return
    ((node, body),) = tree.items()
    yield node, body
    for child in _children(node, body):
        yield from _nodes(child)


def _children(node: str, body: Any) -> list[Any]:
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


@lru_cache(maxsize=512)
def _is_rowwise(function: str) -> bool:
    """Whether a function, by itself, makes row n of row n: asked of Polars with plain columns as its arguments."""
    parsed = json.loads(function)
    if isinstance(parsed, dict) and "Sql" in parsed:
        return _variant(parsed) in _ROWWISE_SQL
    for count in range(1, 6):
        arguments = [{"Column": f"c{i}"} for i in range(count)]
        try:
            meta = _expr({"Function": {"input": arguments, "function": parsed}}).meta
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
    if function is not None and _variant(function) in _LENGTHS:
        return {"Cast": {"expr": made, "dtype": {"Literal": "Int64"}, "options": "Strict"}}
    return made


def _variant(function: Any) -> str:
    """The innermost name of a function: `Strptime` of `{"StringExpr": {"Strptime": …}}`, `Abs` of `"Abs"`."""
    if isinstance(function, str):
        return function
    name, inner = next(iter(function.items()))
    is_family = name.endswith("Expr") or name in ("Sql", "Boolean", "Bitwise", "Pow")
    return _variant(inner) if is_family else str(name)


def _expr(tree: Any) -> pl.Expr:
    return pl.Expr.deserialize(io.StringIO(json.dumps(tree)), format="json")


# ---------------------------------------------------------------- integers that do not change in silence


def _guards(text: str, tree: Any, frame: pl.LazyFrame, reached: pl.Expr) -> Iterator[Guard]:
    """Guards of all operations in `tree`; `reached` is true for the rows whose value the expression uses."""
    if isinstance(tree, str):
        return
    ((node, body),) = tree.items()
    if node == "Ternary":
        chosen = _expr(body["predicate"]).fill_null(value=False)
        yield from _guards(text, body["predicate"], frame, reached)
        yield from _guards(text, body["truthy"], frame, reached & chosen)
        yield from _guards(text, body["falsy"], frame, reached & ~chosen)
        return
    if node == "BinaryExpr" and body["op"] in ("And", "Or") and _dtype(text, _expr(body["left"]), frame) == pl.Boolean:
        left = _expr(body["left"])
        open_ = left.fill_null(value=True) if body["op"] == "And" else ~left.fill_null(value=False)
        yield from _guards(text, body["left"], frame, reached)
        yield from _guards(text, body["right"], frame, reached & open_)
        return
    for child in _children(node, body):
        yield from _guards(text, child, frame, reached)
    for guard in _own_guards(text, tree, frame):
        yield Guard((reached & guard.fails).fill_null(value=False), guard.reason)


def _own_guards(text: str, tree: Any, frame: pl.LazyFrame) -> Iterator[Guard]:
    ((node, body),) = tree.items()
    if node == "Cast":
        value = _expr(body["expr"])
        yield from _cast_guards(
            text, (value, _dtype(text, value, frame)), (_expr(tree), _dtype(text, _expr(tree), frame))
        )
        return
    operator, operands = _operation(tree)
    types = [_dtype(text, _expr(operand), frame) for operand in operands]
    if operator is None or not all(dtype.is_integer() for dtype in types):
        return
    values, result = [_expr(operand) for operand in operands], _dtype(text, _expr(tree), frame)
    zero = Guard((values[-1] == 0) & values[0].is_not_null(), f"`{operator}` divides by zero")
    match operator:
        case "abs":
            yield Guard(_is_minimum(values[0], types[0]), _overflow(types[0]))
        case "+" | "-" | "*":
            yield _overflow_guard(text, operator, values, [*types, result], _expr(tree))
        case "/" | "//" | "%":
            yield zero
        case "pow" if result.is_integer():
            yield Guard(values[1] < 0, "a negative power of an integer is none")
            limit = 2.0 ** (_SIGNED_BITS.get(type(result), 65) - 1)
            yield Guard(values[0].cast(pl.Float64).pow(values[1].cast(pl.Float64)).abs() >= limit, _overflow(result))


def _cast_guards(text: str, given: tuple[pl.Expr, pl.DataType], cast: tuple[pl.Expr, pl.DataType]) -> Iterator[Guard]:
    """Digits that a cast would cut or round away; what is out of range Polars refuses itself."""
    (value, source), (made, target) = given, cast
    lost = f"{dtype_name(target)} has no place for its last digits; round it first"
    if (target.is_integer() or target.is_decimal()) and (source.is_float() or source.is_decimal()):
        yield Guard(made.cast(source, strict=False) != value, lost)
    elif target.is_decimal() and source == pl.String:
        yield Guard(made.cast(_WIDE, strict=False) != value.cast(_WIDE, strict=False), lost)
    elif (target.is_temporal() or target == pl.Boolean) and source == pl.String:
        hint = "use a `cast` step, or `strptime(…, '%Y-%m-%d')`"
        raise _refused(text, f"casts text to {dtype_name(target)}, which Polars does not do", hint)


def _overflow_guard(text: str, operator: str, values: list[pl.Expr], types: list[pl.DataType], made: pl.Expr) -> Guard:
    if pl.Int128 in types or pl.UInt128 in types:
        raise _refused(text, "needs integers of more than 64 bits", "cast one of its operands to decimal(38,0) first")
    unsigned = operator != "-" and all(dtype.is_unsigned_integer() for dtype in types)
    wide = pl.UInt128 if unsigned else pl.Int128
    left, right = (value.cast(wide) for value in values)
    exact = {"+": left + right, "-": left - right, "*": left * right}[operator]
    return Guard(exact != made.cast(wide), _overflow(types[-1]))


def _operation(tree: Any) -> tuple[str | None, list[Any]]:
    ((node, body),) = tree.items()
    if node == "BinaryExpr" and body["op"] in _ARITHMETIC:
        return _ARITHMETIC[body["op"]], [body["left"], body["right"]]
    if node == "Function" and body["function"] == "Abs":
        return "abs", body["input"]
    if node == "Function" and body["function"] == {"Pow": "Generic"}:
        return "pow", body["input"]
    if node == "Function" and isinstance(body["function"], dict):
        sql = body["function"].get("Sql")
        if isinstance(sql, dict) and sql.get("Binary") in _SQL_ARITHMETIC:
            return _SQL_ARITHMETIC[sql["Binary"]], body["input"]
    return None, []


def _is_minimum(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    bits = _SIGNED_BITS.get(type(dtype))
    return pl.lit(value=False) if bits is None else value == pl.lit(-(2 ** (bits - 1)), dtype=dtype)


def _overflow(dtype: pl.DataType) -> str:
    return f"an integer leaves the range of {dtype_name(dtype)}"
