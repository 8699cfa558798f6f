"""The compiled kernels; `arrowload.kernels` is the door to them."""

from typing import Literal, final

from arrowload.core.typing import SupportsArrowArray

__all__ = ["ArrowArray", "content_hash", "numeric_to_decimal", "row_hash"]

@final
class ArrowArray:
    """An Arrow array on its way out; `pyarrow.array` takes it without copying."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """The schema and array capsules; `requested_schema` is not followed, as the interface allows."""

def row_hash(batch: SupportsArrowArray) -> ArrowArray:
    """Hash each row: fixed_size_binary[16], as `arrowload.kernels.row_hash`."""

def content_hash(batch: SupportsArrowArray) -> tuple[int, int]:
    """Count the rows and sum their hashes mod 2^128, as `arrowload.kernels.content_hash`."""

def numeric_to_decimal(
    array: SupportsArrowArray, precision: int, scale: int, *, on_special: Literal["error", "null"]
) -> ArrowArray:
    """Turn numeric text into decimals, as `arrowload.kernels.numeric_to_decimal`."""
