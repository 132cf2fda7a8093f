"""Fewer rows of a table of cases, in which all its values still meet."""

import itertools
from collections.abc import Iterable

from helpers.full_counts import FULL


def covering(
    rows: Iterable[tuple], *columns: int, together: int = 2
) -> list[tuple]:
    """Returns rows in which any two values meet that meet in the table.

    A fault in one value, or in two together, fails one of them as it fails
    the table. With KERASRNN_FULL set all rows are returned.

    Args:
        rows: The table.
        *columns: Those whose values have to meet, of values that compare by
            their `repr`; without any, all columns.
        together: How many values have to meet.
    """
    rows = list(rows)
    if FULL:
        return rows
    columns = columns or range(len(rows[0]))
    meetings = [_meetings(row, columns, together) for row in rows]
    missing, chosen = set().union(*meetings), []
    while missing:
        best = max(range(len(rows)), key=lambda n: len(meetings[n] & missing))
        chosen.append(best)
        missing -= meetings[best]
    return [rows[index] for index in sorted(chosen)]


def _meetings(row, columns, together):
    values = [(column, repr(row[column])) for column in columns]
    return set(itertools.combinations(values, together))
