"""A kind of cell: everything that depends on which one a model is made of.

`kerasrnn.config.CELL_SIZES` says how many gates, states and biases each kind
has, for code that does not load TensorFlow. Everything else is in the kind's
own module, `kerasrnn.layers.NAME`, as its `KIND`.
"""

import importlib
from typing import Any
from typing import NamedTuple

from kerasrnn.config import CellSizes
from kerasrnn.recurrence.step import Step


class Kind(NamedTuple):
    """One kind of cell.

    Attributes:
        step: Its equations and their derivative, its sizes, and its
            counterpart in cuDNN.
        cell: The Keras layer of one step, a `RecurrentCell`.
        layer: The Keras layer over time, a `RecurrentLayer`.
    """

    step: Step
    cell: type[Any]
    layer: type[Any]

    @property
    def sizes(self) -> CellSizes:
        """How many gates, states and biases it has."""
        return self.step.sizes


def kind_of(name: str) -> Kind:
    """Returns the kind of cell with a name out of `kerasrnn.config.CELLS`."""
    kind: Kind = importlib.import_module(f"kerasrnn.layers.{name}").KIND
    return kind
