"""Every byte string is answered in time and memory linear in its length.

Time is counted in lines of Python that run, and memory as it is allocated:
neither depends on the machine. The strings come from a grammar that knows the
structure, of varints, lengths, shapes, repeats and nesting, and each is grown
to several sizes.
"""

import os
import random
import sys
import tracemalloc

from absl.testing import absltest
from helpers.full_counts import FULL
from kerasrnn_serving.server.request_checks import PreparedSignature
from kerasrnn_serving.server.request_checks import feeds_of
from kerasrnn_serving.server.rpc import StatusError

from kerasrnn.contract import messages
from kerasrnn.contract import tensors

SEED = int(os.environ.get("KERASRNN_SEED", "0"))
STRINGS = 3000 if FULL else 150
# What a request may cost whatever its length: `_MAX_REPEATS` strings for each
# of a signature's inputs, and what Python allocates on the way.
LINES, BYTES = 2_000, 2**23
LINES_PER_BYTE, BYTES_PER_BYTE = 5, 200
_TYPES = (1, 2, 3, 4, 7, 9, 10, 19, 22, 23, 99)
_FIELDS = (5, 6, 7, 8, 10, 11, 13, 16, 17)
_INPUTS = 8


def varint(number):
    """Returns a number, of 64 bits where it is negative, on the wire."""
    number %= 2**64
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def field(number, content):
    """Returns a field that says its length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


class Grammar:
    """Draws requests, `size` bytes or so each.

    Args:
        chance: A `random.Random`.
        size: What is long is so long.
    """

    def __init__(self, chance, size):
        self._chance = chance
        self._size = size

    def request(self):
        """Returns a request, of good fields and of any others."""
        draw = self._chance.choice
        parts = [field(1, field(1, b"kerasrnn"))]
        for index in range(self._chance.randint(1, _INPUTS)):
            key = field(1, draw([b"x%d" % index] * 9 + [b"x0", b"", b"\xff"]))
            parts.append(field(2, key + field(2, self.tensor())))
        parts.append(draw([b""] * 4 + [self.names(), self.junk()]))
        return b"".join(parts)

    def tensor(self):
        """Returns a tensor whose parts need not fit each other."""
        draw = self._chance.choice
        return b"".join(
            (
                varint(1 << 3) + varint(draw(_TYPES)),
                field(2, self.shape()),
                draw([b"", field(4, self.content())]),
                draw([b""] * 3 + [field(draw(_FIELDS), self.content())]),
                draw([b"", field(8, b"ab") * (self._size // 8)]),
            )
        )

    def shape(self):
        """Returns sizes that are small, huge, negative, zero or many."""
        draw = self._chance.choice
        sizes = [
            draw([0, 1, 2, self._size, 2**16, 2**26, 2**31, 2**62, -1])
            for _ in range(draw([0, 1, 1, 1, 1, 2, 3]))
        ]
        sizes += [1] * draw([0, 0, 0, 65, 300, self._size // 4])
        return b"".join(field(2, b"\x08" + varint(size)) for size in sizes)

    def content(self):
        """Returns bytes: varints without end, lengths, numbers, junk."""
        size = self._size
        lengths = self._chance.choices(range(3), k=size // 3)
        return self._chance.choice(
            [
                b"\xff" * size,
                b"\x80" * size + b"\x01",
                b"\x00" * size,
                b"\x01" * size,
                bytes(lengths) + b"a" * sum(lengths),
                varint(2**63) * (size // 10),
                self._chance.randbytes(size),
            ]
        )

    def names(self):
        """Returns names of outputs, many or deep in each other."""
        nested = b""
        while len(nested) < min(self._size, 2000):
            nested = field(3, nested)
        return self._chance.choice([field(3, b"x") * (self._size // 4), nested])

    def junk(self):
        """Returns bytes of no structure."""
        return self._chance.randbytes(self._size)


def signature():
    """Returns a prepared signature with an input of each type."""
    definition = messages.SignatureDef()
    for index in range(_INPUTS):
        definition.inputs[f"x{index}"].dtype = _TYPES[index]
        definition.defaults[f"x{index}"].CopyFrom(
            tensors.to_tensor([0], "int32")
        )
    return PreparedSignature(definition)


def read(content, prepared=None):
    """Reads a request as the server does; returns whether it is one."""
    try:
        request = messages.PredictRequest.FromString(content)
        for tensor in request.inputs.values():
            try:
                tensors.to_array(tensor)
            except tensors.WireError:
                continue
        if prepared:
            feeds_of(prepared, request.inputs)
    except (messages.DecodeError, StatusError):
        return False
    return True


def cost(function):
    """Returns how many lines of Python run, and the peak of the memory."""
    lines = 0

    def trace(frame, event, argument):
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    tracemalloc.start()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return lines, peak


class WireCostTest(absltest.TestCase):
    def assert_linear(self, content, prepared=None):
        lines, memory = cost(lambda: read(content, prepared))
        shown = f"{len(content)} bytes, {content[:80]!r}"
        self.assertLess(lines, LINES + LINES_PER_BYTE * len(content), shown)
        self.assertLess(memory, BYTES + BYTES_PER_BYTE * len(content), shown)

    def test_any_request(self):
        chance = random.Random(SEED)
        prepared = signature()
        good = 0
        for index in range(STRINGS):
            size = (10, 1000, 30_000)[index % 3]
            content = Grammar(chance, size).request()
            self.assert_linear(content, prepared)
            good += read(content)
            cut = content[: chance.randrange(len(content))]
            self.assert_linear(cut, prepared)
        # Else it would be the parser that was tested.
        self.assertGreater(good, STRINGS // 4)

    def test_a_varint_without_end(self):
        """It was read in quadratic time: an hour for 10 MB."""
        tensor = messages.Tensor(dtype=tensors.DT_STRING)
        tensor.tensor_shape.dim.add(size=1)
        for last in (b"", b"\x01"):
            tensor.tensor_content = b"\xff" * 10**7 + last
            with self.assertRaises(tensors.WireError):
                tensors.to_array(tensor)

    def test_a_few_bytes_that_claim_much(self):
        for sizes in ([2**26], [2**28], [2**13, 2**13], [1] * 65, [0, 2**62]):
            for dtype in (1, 3, tensors.DT_STRING, 9, 10, 19):
                tensor = messages.Tensor(dtype=dtype)
                for size in sizes:
                    tensor.tensor_shape.dim.add(size=size)
                with self.assertRaises(tensors.WireError):
                    tensors.to_array(tensor)

    def test_one_value_for_all_rows(self):
        tensor = tensors.to_tensor([0.5], "float32", content=False)
        tensor.tensor_shape.dim[0].size = 1024
        self.assertEqual(tensors.to_array(tensor).tolist(), [0.5] * 1024)


if __name__ == "__main__":
    absltest.main()
