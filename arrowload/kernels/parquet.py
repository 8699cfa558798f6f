"""Parquet files of flat columns, encoded row group by row group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrowload import _rust

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from arrowload._rust import ParquetEncoder


def parquet_encoder(
    schema: pa.Schema, empty: bytes, *, dictionaries: Sequence[bool], compression: str
) -> ParquetEncoder | None:
    """Begin a file.

    Pages have a checksum, at most 20,000 rows and about 1 MiB; columns and pages have bounds; dictionaries are given up
    when they outgrow a page.

    Args:
        schema: The columns.
        empty: A whole file of that schema without rows, which says how each type is kept.
        dictionaries: Of each column, whether its values are worth a dictionary.
        compression: Of the pages: `zstd` or `none`; others are unknown here.

    Returns:
        None when a column is nested or of a type that is unknown here, or is kept otherwise than is known here. The
        encoder's `write_group` takes record batches as a stream and hands on the bytes that follow, `finish` returns
        the last. `write_group` raises `DataError` for columns of other types, for a decimal that what its type is kept
        in has no room for, for a value of about 2 GiB, and for NULLs in a column that has none; the file is then lost.
    """
    return _rust.parquet_encoder(schema, empty, dictionaries=dictionaries, compression=compression)
