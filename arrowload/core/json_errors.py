"""What may go wrong when JSON is read."""

from __future__ import annotations

from typing import Final

import msgspec

# It is malformed or of another shape; it is no UTF-8, which msgspec leaves to Python; it is nested without end.
UNREADABLE_JSON: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
