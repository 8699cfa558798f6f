"""Which errors are tried again, and when."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from arrowload.core.exceptions import OutcomeUnknownError, TransientConnectorError

if TYPE_CHECKING:
    from arrowload.engine.protocol import FailureKind
    from arrowload.models.runtime_config import RetryConfig


def classify(error: BaseException) -> FailureKind:
    """`retryable`: nothing was done, and it may pass; `unknown`: it may have been done; `terminal`: all else."""
    if isinstance(error, OutcomeUnknownError):
        return "unknown"
    if isinstance(error, TransientConnectorError):
        return "retryable"
    return "terminal"


def wait_s(attempt: int, config: RetryConfig) -> float:
    """Seconds to wait before attempt number `attempt`: doubling from the second on, with full jitter.

    Full jitter spreads runners that failed together (Brooker, "Exponential Backoff And Jitter", 2015).
    """
    longest = min(config.wait_initial.total_seconds() * 2 ** (attempt - 2), config.wait_max.total_seconds())
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret depends on it
