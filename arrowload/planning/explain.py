"""A plan for people to read, and for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa

from arrowload.core.secret import mask
from arrowload.core.types import type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from arrowload.planning.plan import LoadPlan

_LISTED_SPLITS: Final = 8
_RELAYED: Final = "as rows lie on the wire, not encoded again; decoded beside, to be checked and hashed for the ledger"


def explain_text(plan: LoadPlan) -> str:
    """The plan in lines of text, without colour."""
    target = plan.target
    lines = [
        f"recipe       {plan.recipe}",
        f"source       {plan.source.location}",
        f"route        {plan.source.route}: {plan.source.route_reason}",
        *_listed("reads", plan.window.statements),
        f"window       {_window(plan)}",
        *_listed("splits", _outlined(plan.splits)),
        *_listed("rows read", _columns(plan.input_schema)),
        *_listed("steps", plan.steps or ("none",)),
        *_listed("passed on", (_RELAYED,) if plan.relayed else ()),
        *_listed("rows out", _columns(plan.output_schema)),
    ]
    if target is not None:
        keys = f" by {', '.join(plan.merge_keys)}" if plan.merge_keys else ""
        lines += [
            f"destination  {target.location} ({'exists' if target.exists else 'will be made'})",
            f"write mode   {plan.write_mode}{keys}",
            *_listed("stored as", _columns(target.schema)),
            *_listed("drift", map(str, plan.drift)),
            *_listed("checks", plan.checks),
            *_listed("DDL", target.ddl or ("none",)),
            *_listed("commit", (*target.finalize, "ledger entry, fence, COMMIT")),
            f"delivery     {plan.delivery}: {plan.delivery_reason}",
        ]
    lines.append(
        f"runtime      batches of {plan.batch_size} rows, {_at_once(plan)} at once,"
        f" at most {plan.max_memory // 2**20} MiB"
        + (f", committed every {plan.commit_every}" if plan.commit_every else "")
        + (f", at most {plan.max_rejected} rows rejected" if plan.max_rejected else "")
    )
    lines += _listed("note", plan.notes)
    return mask("\n".join(lines))


def explain_json(plan: LoadPlan) -> bytes:
    """The plan as indented UTF-8 JSON; schemas are lists of `{name, type, nullable}`."""
    encoded = msgspec.json.encode(plan, enc_hook=_schema_as_list)
    return mask(msgspec.json.format(encoded, indent=2).decode()).encode()


def _window(plan: LoadPlan) -> str:
    window = plan.window
    if window.strategy == "full":
        return "all rows"
    bounds = f"from {window.lower or 'the beginning'} to {window.upper or 'the end'}"
    return f"{window.strategy}, {bounds}{', nothing new' if window.empty else ''}"


def _at_once(plan: LoadPlan) -> str:
    n = plan.readers if plan.splits else plan.parallelism
    return f"{n} split" if n == 1 else f"{n} splits"


def _outlined(splits: Sequence[str]) -> Sequence[str]:
    if len(splits) <= _LISTED_SPLITS:
        return splits
    return (splits[0], f"… {len(splits) - 2} more …", splits[-1])


def _columns(schema: pa.Schema) -> list[str]:
    width = max((len(name) for name in schema.names), default=0)
    return [f"{f.name:<{width}}  {type_name(f.type)}{'' if f.nullable else ' not null'}" for f in schema]


def _listed(title: str, items: Iterable[str]) -> list[str]:
    return [f"{title if i == 0 else '':<12} {line}" for i, item in enumerate(items) for line in item.splitlines()]


def _schema_as_list(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, pa.Schema):
        return [{"name": f.name, "type": type_name(f.type), "nullable": f.nullable} for f in value]
    raise NotImplementedError(f"a plan holds no {type(value).__name__}")
