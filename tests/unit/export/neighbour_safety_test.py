"""Whatever a row holds, it changes no row beside it, and fails none.

The signatures run in a session over a SavedModel, as the server runs them.
"""

import collections
import random

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports import served_signatures
from helpers.full_counts import FULL

from kerasrnn.contract import signatures

ROWS = 8
# In full 10,000 rows, and each defect 200 times, for each signature.
BATCHES = 1251 if FULL else 32
LEAST = 200 if FULL else 4
FORGERIES = 100 if FULL else 3
# Of these outputs, what stands past a row's own length belongs to nobody.
PADDED = {
    "score": ("character_log_probs",),
    "inspect": (
        "characters",
        "activations",
        "top_characters",
        "top_log_probs",
    ),
}


class Requests:
    """Good requests to a signature, and what makes them bad."""

    def __init__(self, signature, model):
        self.signature = signature
        self._served = served_signatures.Exported.of(model)
        foreign = "gru_bytes" if model == "lstm" else "lstm"
        self._foreign = served_signatures.Exported.of(foreign)

    def call(self, rows):
        return self._served(self.signature, rows, state_bytes=b"")

    def good(self, chance):
        if self.signature == "generate":
            request = served_signatures.random_request(chance)
        else:
            longest = chance.choice([0, 5, 20, 200])
            text = served_signatures.random_text(chance, longest).encode()
            odd = [b"\xff\xfe", b"a\0b", b"\xe2\x82"]
            request = {"text": chance.choice([text, text, *odd])}
        if chance.random() < 0.3:
            token = self._served.generate("ab", length=3)["state_bytes"]
            request["state_bytes"] = token
        return request

    def check_good(self, test, request, row):
        """Odd characters are read as unknown, and counted."""
        test.assertEqual(row["error"], b"")
        text = request.get("prompt", request.get("text"))
        ids = self._served.vocabulary.encode(text)
        if "unknown" in row:
            test.assertEqual(row["unknown"], int((ids == 0).sum()))
        if self.signature == "inspect":
            test.assertEqual(row["length"], len(ids))

    def defects(self, chance):
        text = "prompt" if self.signature == "generate" else "text"
        defects = served_signatures.text_defects(chance, text)
        defects |= served_signatures.state_defects(
            chance, self._served, self._foreign
        )
        if self.signature == "generate":
            defects |= served_signatures.parameter_defects(chance)
        return defects


class NeighbourSafetyTest(parameterized.TestCase):
    @parameterized.parameters("generate", "score", "inspect")
    def test_neighbour_safety(self, signature):
        """Bad rows get an error; the others stay the same to the bit."""
        chance = random.Random(signature)
        models = [
            Requests(signature, model) for model in served_signatures.MODELS
        ]
        counts = collections.Counter()
        for batch in range(BATCHES):
            requests = models[batch % len(models)]
            good = [requests.good(chance) for _ in range(ROWS)]
            defects = requests.defects(chance)
            bad = chance.sample(range(ROWS), chance.randint(1, ROWS - 1))
            rows = list(good)
            for index in bad:
                # The rarest so far, so that none stays rare.
                defect = min(defects, key=lambda name: counts[name])
                counts[defect] += 1
                rows[index] = {**good[index], **defects[defect]}
            expected = requests.call(good)
            received = requests.call(rows)
            for index in range(ROWS):
                if index in bad:
                    self._assert_refused(
                        signature, rows[index], received[index]
                    )
                else:
                    requests.check_good(self, rows[index], expected[index])
                    self._assert_same(
                        signature, expected[index], received[index]
                    )
        print(
            f"\n{signature}: {BATCHES * ROWS} rows, {sum(counts.values())} "
            f"bad, each of {len(counts)} defects at least "
            f"{min(counts.values())} times; 0 others changed"
        )
        self.assertGreaterEqual(min(counts.values()), LEAST, counts)

    @parameterized.product(
        signature=["generate", "score", "inspect"],
        model=list(served_signatures.MODELS)[:: 1 if FORGERIES > 3 else 2],
    )
    def test_a_forged_token_gives_odd_text_and_fails_nothing(
        self, signature, model
    ):
        """Whoever can compute a checksum can send any state."""
        chance = random.Random(model)
        requests = Requests(signature, model)
        served = served_signatures.Exported.of(model)
        for _ in range(FORGERIES):
            good = [requests.good(chance) for _ in range(ROWS)]
            rows = list(good)
            for index in range(0, ROWS, 2):
                token = served_signatures.forged_token(chance, served)
                rows[index] = {**good[index], "state_bytes": token}
            expected, received = requests.call(good), requests.call(rows)
            for index in range(ROWS):
                if index % 2:
                    self._assert_same(
                        signature, expected[index], received[index]
                    )
                    continue
                self.assertEqual(received[index]["error"], b"")
                received[index].get("text", b"").decode()
                for name, value in received[index].items():
                    if np.asarray(value).dtype == np.float32:
                        self.assertTrue(np.isfinite(value).all(), name)

    def _assert_same(self, signature, expected, received):
        for name, value in expected.items():
            other = received[name]
            if name in PADDED.get(signature, ()):
                length = int(expected["length"])
                length += int(expected.get("unknown", 0))
                for rest in (value[length:], other[length:]):
                    self.assertFalse(np.any(rest), name)
                value, other = value[:length], other[:length]
            # Of floats the bits, since -0 equals 0.
            self.assertEqual(
                np.asarray(value).tolist(), np.asarray(other).tolist(), name
            )
            if np.asarray(value).dtype == np.float32:
                self.assertEqual(value.tobytes(), other.tobytes(), name)

    def _assert_refused(self, signature, request, row):
        row = dict(row)
        self.assertTrue(row.pop("error").endswith(b"."), request)
        self.assertEqual(
            row.pop("state_bytes"), request.get("state_bytes", b"")
        )
        self.assertEqual(
            row.pop("finish", b"error"), signatures.FINISH_ERROR.encode()
        )
        for name, value in row.items():
            self.assertFalse(np.any(value), f"{name} of {request}")


if __name__ == "__main__":
    absltest.main()
