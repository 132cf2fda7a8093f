"""Gumbel noise, which turns the largest logit into a draw.

Of all `logits + temperature * noise` the largest is that of character i with
probability softmax(logits / temperature)[i] (Gumbel 1954; Maddison et al.
2014, "A* Sampling").

Glossary of shapes: N rows, V vocabulary size.
"""

import tensorflow as tf

# Below this temperature the likeliest character is taken.
COLDEST = 1e-30
# Above this all characters are as likely. The unknown character's logit of
# -1e9 must stay below all others: noise is at most 23 times this.
HOTTEST = 1e6
# Numbers that are at hand at a time, 4 bytes each, unless one multiple of
# steps has more.
_NUMBERS = 2**22


class Noise:
    """The noise of a call, made for as many steps at once as memory allows.

    Args:
        seed: int64 [N].
        draws: int64 [N], draws made before the first step.
        temperature: float32 [N], what the noise is multiplied by; at 0 there
            is none.
        size: V, int32 scalar.
        steps: int32 scalar, those of the call.
        multiple: Steps that are always made together.
    """

    def __init__(
        self,
        seed: tf.Tensor,
        draws: tf.Tensor,
        temperature: tf.Tensor,
        size: int,
        steps: tf.Tensor,
        multiple: int,
    ):
        self._seed = seed
        self._draws = draws
        self._size = size
        cold = temperature < COLDEST
        self._scale = tf.where(cold, 0.0, tf.minimum(temperature, HOTTEST))
        numbers = tf.maximum(multiple * tf.shape(seed)[0] * size, 1)
        most = tf.maximum(_NUMBERS // numbers, 1)
        wanted = tf.maximum(-(-steps // multiple), 1)
        self._steps = tf.minimum(wanted, most) * multiple

    def first(self) -> tf.Tensor:
        """Returns the noise of the first steps, [steps, N, V]."""
        return self._make(0)

    def refresh(self, numbers: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """Returns the noise for a step: what is at hand, or the next."""
        used = (time > 0) & (time % self._steps == 0)
        return tf.cond(used, lambda: self._make(time), lambda: numbers)

    def at(self, numbers: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
        """Returns that of the steps `times` [...]: [..., N, V]."""
        return tf.gather(numbers, times % self._steps)

    def _make(self, time):
        noise = gumbel_noise(
            self._seed,
            self._draws + tf.cast(time, tf.int64),
            self._steps,
            self._size,
        )  # [N, steps, V]
        noise = tf.transpose(noise, [1, 0, 2]) * self._scale[:, None]
        noise.set_shape([None, self._seed.shape[0], None])
        return noise


def gumbel_noise(
    seed: tf.Tensor, first: tf.Tensor, count: int | tf.Tensor, size: int
) -> tf.Tensor:
    """Returns float32 [N, count, size]: draw k of seed s is f(s, k).

    A number is -log(E), with E from the exponential distribution: of all
    `logits + noise` the largest is that of id i with probability
    softmax(logits)[i]. E comes from 32 bits of Philox, whose key is the seed
    and whose counter goes through the numbers of all draws, and is precise
    where it is small: there the largest ones are.

    Args:
        seed: int64 [N].
        first: int64 [N], number of the first draw.
        count: int32 scalar, draws.
        size: int32 scalar, numbers of a draw.
    """
    counters = (size + 3) // 4  # a counter gives 4 numbers

    def row(arguments):
        seed, first = arguments
        counter = first * tf.cast(counters, tf.int64)
        return tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=[count, 4 * counters],
            key=tf.bitcast(seed[None], tf.uint64),
            counter=tf.bitcast(tf.stack([counter, 0]), tf.uint64),
            alg=1,  # Philox
            dtype=tf.uint32,
        )

    numbers = tf.map_fn(
        row,
        (tf.pad(seed, [[0, 1]]), tf.pad(first, [[0, 1]])),  # never no row
        fn_output_signature=tf.TensorSpec([None, None], tf.uint32),
    )
    numbers = tf.cast(numbers[:-1, :, :size], tf.float32)
    # The largest ones are rounded to 1, whose E would be infinite.
    uniforms = tf.minimum((numbers + 0.5) * 2.0**-32, 1 - 2.0**-24)
    return -tf.math.log(-tf.math.log1p(-uniforms))
