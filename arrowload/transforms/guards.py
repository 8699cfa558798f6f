"""Guards: conditions that are true for the rows which an expression would damage in silence.

Polars wraps integers that overflow, turns an integer division by zero into NULL or infinity, and cuts or rounds the
digits that a cast has no room for. Each such operation in an expression gets a guard that is evaluated beside it.
Decimals need none for their arithmetic: Polars refuses what does not fit itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from arrowload.transforms.polars_types import dtype_name
from arrowload.transforms.sql_tree import children, dtype_of, expr_of, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDE: Final = pl.Decimal(38, 18)
_SIGNED_BITS: Final[dict[type[pl.DataType], int]] = {pl.Int8: 8, pl.Int16: 16, pl.Int32: 32, pl.Int64: 64}
_ARITHMETIC: Final = {"Plus": "+", "Minus": "-", "Multiply": "*"}
_SQL_ARITHMETIC: Final = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "IntDiv": "//", "Rem": "%"}


class Guard(NamedTuple):
    """A condition that is true for the rows that an operation would damage, and what it would do to them."""

    fails: pl.Expr
    reason: str


def guards_of(text: str, tree: Any, frame: pl.LazyFrame, reached: tuple[pl.Expr, ...] = ()) -> Iterator[Guard]:
    """Guards of all operations in `tree`, each true at most for rows whose value the expression uses.

    Args:
        text: What the tree was made of, for errors.
        tree: An expression that looks at one row at a time.
        frame: An empty frame with its columns.
        reached: What must hold, one after the other, for this part of the tree to be used.

    Raises:
        RecipeError: An operation cannot be guarded.
    """
    ((node, body),) = tree.items()
    if node == "Ternary":
        chosen = expr_of(body["predicate"]).fill_null(value=False)
        yield from guards_of(text, body["predicate"], frame, reached)
        yield from guards_of(text, body["truthy"], frame, (*reached, chosen))
        yield from guards_of(text, body["falsy"], frame, (*reached, ~chosen))
    elif node == "BinaryExpr" and body["op"] in ("And", "Or") and _is_condition(text, body["left"], frame):
        left = expr_of(body["left"])
        undecided = left.fill_null(value=True) if body["op"] == "And" else ~left.fill_null(value=False)
        yield from guards_of(text, body["left"], frame, reached)
        yield from guards_of(text, body["right"], frame, (*reached, undecided))
    else:
        for child in children(node, body):
            yield from guards_of(text, child, frame, reached)
        for fails, reason in _own_guards(text, tree, frame):
            yield Guard(_where(reached, fails.fill_null(value=False)), reason)


def _where(reached: tuple[pl.Expr, ...], fails: pl.Expr) -> pl.Expr:
    # Nested, not joined by `&`: Polars evaluates a branch only for the rows that take it, and what stands in a guard
    # may itself fail for others.
    for condition in reversed(reached):
        fails = pl.when(condition).then(fails).otherwise(pl.lit(value=False))
    return fails


def _is_condition(text: str, tree: Any, frame: pl.LazyFrame) -> bool:
    return dtype_of(text, expr_of(tree), frame) == pl.Boolean


def _own_guards(text: str, tree: Any, frame: pl.LazyFrame) -> Iterator[Guard]:
    ((node, body),) = tree.items()
    if node == "Cast":
        value = expr_of(body["expr"])
        yield from _cast_guards(
            text, (value, dtype_of(text, value, frame)), (expr_of(tree), dtype_of(text, expr_of(tree), frame))
        )
        return
    operator, operands = _operation(tree)
    types = [dtype_of(text, expr_of(operand), frame) for operand in operands]
    if operator is None or not all(dtype.is_integer() for dtype in types):
        return
    values, result = [expr_of(operand) for operand in operands], dtype_of(text, expr_of(tree), frame)
    zero = Guard((values[-1] == 0) & values[0].is_not_null(), f"`{operator}` divides by zero")
    match operator:
        case "abs":
            yield Guard(_is_minimum(values[0], types[0]), _overflow(types[0]))
        case "+" | "-" | "*":
            yield _overflow_guard(text, operator, values, [*types, result], expr_of(tree))
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
        raise refused(text, f"casts text to {dtype_name(target)}, which Polars does not do", hint)


def _overflow_guard(text: str, operator: str, values: list[pl.Expr], types: list[pl.DataType], made: pl.Expr) -> Guard:
    if pl.Int128 in types or pl.UInt128 in types:
        raise refused(text, "needs integers of more than 64 bits", "cast one of its operands to decimal(38,0) first")
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
