"""A recurrent network as one small object: `y = rnn.step(x)`.

For reading and teaching. It is the interface of Karpathy's post "The
Unreasonable Effectiveness of Recurrent Neural Networks" (2015), over the same
cells that `kerasrnn.layers` trains with.
"""

import keras
import numpy as np
from numpy.typing import ArrayLike

from kerasrnn.config import CELLS
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted
from kerasrnn.layers.kinds import kind_of


class StepRNN:
    """A recurrent network that is fed one vector after the other.

    With `cell="simple_rnn"` a step is

        h = tanh(W_hh @ h + W_xh @ x)
        y = W_hy @ h

    and with "lstm" or "gru" the first line is that cell's; there are no
    biases. The state `h` starts as zeros and is kept from step to step, so
    that the same `x` gives a different `y` the second time. To stack networks,
    feed one with the output of another.

    Example:
    >>> rnn1 = StepRNN(4, 8, 6)
    >>> rnn2 = StepRNN(6, 8, 4)
    >>> y = rnn2.step(rnn1.step([1, 0, 0, 0]))
    >>> y.shape
    (4,)

    Args:
        input_size: Length of the vectors `x`.
        units: Length of the state.
        output_size: Length of the vectors `y`.
        cell: "simple_rnn", "lstm" or "gru".
        seed: Seed of the weights; the same seed gives the same weights.

    Raises:
        UserError: The cell is unknown, or a size is below 1.
    """

    def __init__(
        self,
        input_size: int,
        units: int,
        output_size: int,
        cell: str = "simple_rnn",
        seed: int | None = None,
    ):
        if cell not in CELLS:
            raise UserError(
                f"cell must be one of {', '.join(CELLS)}, not {cell!r}."
            )
        for name, size in (
            ("input_size", input_size),
            ("units", units),
            ("output_size", output_size),
        ):
            if size < 1:
                raise UserError(f"{name} must be at least 1, not {size}.")
        seeds = [None if seed is None else seed + index for index in range(3)]
        self._input_size = input_size
        self._cell = kind_of(cell).cell(
            units,
            dtype="float32",
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(seeds[0]),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seeds[1]),
        )
        self._output = keras.layers.Dense(
            output_size,
            dtype="float32",
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(seeds[2]),
        )
        self._cell.build((None, input_size))
        self._output.build((None, units))
        self.reset()

    def reset(self) -> None:
        """Forgets everything read: the state is zeros again."""
        self._states = None

    def step(self, x: ArrayLike) -> np.ndarray:
        """Reads one vector and returns the network's answer to it.

        Args:
            x: Vector [input_size], or one a row [B, input_size].

        Returns:
            float32 `y` [output_size], or [B, output_size].

        Raises:
            UserError: The shape of `x` does not fit.
        """
        x = np.asarray(x, "float32")
        if x.ndim not in (1, 2) or x.shape[-1] != self._input_size:
            raise UserError(
                "step expects a vector of "
                f"{counted(self._input_size, 'number')}, or a matrix of such "
                f"rows; it received the shape {x.shape}."
            )
        rows = np.atleast_2d(x)  # [B, input_size]
        states = self._states or self._cell.get_initial_state(len(rows))
        if states[0].shape[0] != len(rows):
            raise UserError(
                f"step received {counted(len(rows), 'row')} after steps with "
                f"{states[0].shape[0]}: every row has a state of its own. "
                "Call reset() before another number of rows."
            )
        hidden, self._states = self._cell(rows, states)
        y = self._output(hidden).numpy()  # [B, output_size]
        return y if x.ndim == 2 else y[0]

    @property
    def W_xh(self) -> np.ndarray:  # noqa: N802
        """Input to state [gates * units, input_size]; may be assigned."""
        return self._cell.kernel.numpy().T

    @W_xh.setter
    def W_xh(self, value: ArrayLike) -> None:  # noqa: N802
        self._cell.kernel.assign(np.transpose(value))

    @property
    def W_hh(self) -> np.ndarray:  # noqa: N802
        """State to state [gates * units, units]; may be assigned."""
        return self._cell.recurrent_kernel.numpy().T

    @W_hh.setter
    def W_hh(self, value: ArrayLike) -> None:  # noqa: N802
        self._cell.recurrent_kernel.assign(np.transpose(value))

    @property
    def W_hy(self) -> np.ndarray:  # noqa: N802
        """State to output [output_size, units]; may be assigned."""
        return self._output.kernel.numpy().T

    @W_hy.setter
    def W_hy(self, value: ArrayLike) -> None:  # noqa: N802
        self._output.kernel.assign(np.transpose(value))
