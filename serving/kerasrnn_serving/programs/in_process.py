"""The model of a working directory, asked as a served one is.

It answers through the same functions that are exported, so what it says of a
text is what a server of the same model says.
"""

from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf
from kerasrnn_export.graph import archive
from kerasrnn_export.graph.sampler import Sampler

from kerasrnn.contract import signatures
from kerasrnn.foundation.paths import StrPath
from kerasrnn.training.checkpoints.load_model import load_model
from kerasrnn_serving.client._progress import begin_reading
from kerasrnn_serving.client.results import Inspection
from kerasrnn_serving.client.results import Score


class InProcessModel:
    """Has the methods of `kerasrnn_serving.client.Client` that read text.

    Args:
        workdir: What `kerasrnn-train` wrote to.
        which: The checkpoint, "best" or "latest".

    Attributes:
        config: The model's `Config`.
        step: Steps that it was trained for.

    Raises:
        UserError: There is no such checkpoint, or it is damaged.
    """

    def __init__(self, workdir: StrPath, which: str = "best"):
        model, vocabulary, self.config, info = load_model(workdir, which)
        self.step = info["step"]
        sampler = Sampler(
            self.config.model,
            [variable.numpy() for variable in model.weights],
            vocabulary,
        )
        self._functions = {
            signature.name: archive.signature_function(
                getattr(sampler, signature.name), signature
            )
            for signature in (signatures.SCORE, signatures.INSPECT)
        }

    def score(
        self,
        texts: Sequence[str | bytes],
        between_calls: Callable[[float], None] = lambda share: None,
    ) -> list[Score]:
        """Gives each text its probability."""
        rows = self._read(signatures.SCORE, texts, between_calls)
        return [row.score() for row in rows]

    def inspect(
        self,
        texts: Sequence[str | bytes],
        between_calls: Callable[[float], None] = lambda share: None,
    ) -> list[Inspection]:
        """Shows what the network does while it reads each text."""
        rows = self._read(signatures.INSPECT, texts, between_calls)
        num_layers = self.config.model.num_layers
        return [row.inspection(num_layers) for row in rows]

    def _read(self, signature, texts, between_calls):
        rows = begin_reading(texts, b"")
        total = sum(len(row.text) for row in rows)
        for row in rows:
            while not row.is_read:
                outputs = self._functions[signature.name](
                    tf.constant([row.next_piece(signatures.MAX_PROMPT)]),
                    tf.constant([row.state_bytes]),
                )
                values = {name: v.numpy()[0] for name, v in outputs.items()}
                row.update(values, version=0)
                read = sum(row.bytes_read for row in rows)
                between_calls(read / max(total, 1))
        return rows
