"""Fewer rows of a table of cases, in which all pairs of values still meet."""

import itertools
import os
from collections.abc import Iterable


def covering(rows: Iterable[tuple], *columns: int) -> list[tuple]:
    """Returns rows in which any two values meet that meet in the table.

    A fault in one value, or in two together, fails one of them as it fails
    the table. With KERASRNN_FULL set all rows are returned.

    Args:
        rows: The table.
        *columns: Those whose values have to meet, of values that compare by
            their `repr`; without any, all columns.
    """
    rows = list(rows)
    if os.environ.get("KERASRNN_FULL"):
        return rows
    columns = columns or range(len(rows[0]))
    pairs = [_pairs(row, columns) for row in rows]
    missing, chosen = set().union(*pairs), []
    while missing:
        best = max(range(len(rows)), key=lambda n: len(pairs[n] & missing))
        chosen.append(best)
        missing -= pairs[best]
    return [rows[index] for index in sorted(chosen)]


def _pairs(row, columns):
    values = [(column, repr(row[column])) for column in columns]
    return set(itertools.combinations(values, 2))
