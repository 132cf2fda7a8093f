"""The colours of a unit's activation: from blue through white to red."""

import numpy as np
from numpy.typing import ArrayLike

# Dark ink can be read on both.
NEGATIVE = (88, 137, 240)
POSITIVE = (240, 92, 78)
INK = (20, 23, 27)


def diverging(values: ArrayLike) -> np.ndarray:
    """Returns the colours of values in [-1, 1], uint8 [..., 3].

    -1 is blue, 0 white and 1 red; what lies beyond is taken as the nearest.
    """
    values = np.clip(np.asarray(values, np.float64), -1, 1)[..., None]
    ends = np.where(values < 0, NEGATIVE, POSITIVE)
    # As JavaScript rounds: halves up.
    colors = np.floor(255 + (ends - 255) * np.abs(values) + 0.5)
    return colors.astype(np.uint8)
