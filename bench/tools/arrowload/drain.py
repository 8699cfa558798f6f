"""Reads a recipe's rows as Arrow batches, throws them away, and prints how many there were."""

from __future__ import annotations

import sys

import arrowload

rows = 0
for batch in arrowload.stream(sys.argv[1]):
    rows += batch.num_rows
print(rows)
