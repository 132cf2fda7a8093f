"""Tests of keys and of limits."""

import datetime
import json
import pathlib

from absl.testing import absltest
from absl.testing import parameterized
from kerasrnn_serving.gateway.access import key_commands
from kerasrnn_serving.gateway.access import keys
from kerasrnn_serving.gateway.access.limits import Caller
from kerasrnn_serving.gateway.access.limits import Gate
from kerasrnn_serving.gateway.access.limits import Limits
from kerasrnn_serving.gateway.errors import ApiError

from kerasrnn.errors import UserError


class KeysTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.create_tempdir().full_path, "keys.json")

    def run_command(self, *words, limits=None, days=None):
        return key_commands.run_command(
            words, self.path, limits or Limits(), days
        )

    def test_the_file_holds_no_key(self):
        secret = self.run_command("add", "alice")
        text = self.path.read_text()
        self.assertNotIn(secret, text)
        self.assertNotIn(secret.removeprefix("krnn-"), text)
        self.assertNotIn(secret, self.run_command("list"))

    def test_a_key_opens_with_what_it_was_given(self):
        limits = Limits(requests_per_minute=3, characters_per_minute=9)
        secret = self.run_command("add", "alice", limits=limits, days=1)
        other = self.run_command("add", "bob")
        ring = keys.KeyRing(self.path)
        self.assertEqual(ring.find(secret).name, "alice")
        self.assertEqual(ring.find(secret).limits, limits)
        self.assertEqual(ring.find(other).limits, Limits())
        for wrong in ("", "krnn-", secret[:-1], secret + "x", "ä\ud800"):
            self.assertIsNone(ring.find(wrong))

    def test_a_change_is_seen_and_a_damaged_file_closes_nothing(self):
        alice = self.run_command("add", "alice")
        ring = keys.KeyRing(self.path)
        bob = self.run_command("add", "bob")
        self.assertEqual(ring.find(bob).name, "bob")
        self.run_command("remove", "alice")
        self.assertIsNone(ring.find(alice))
        self.path.write_text("{")
        with self.assertLogs("kerasrnn_serving.gateway", "WARNING") as logs:
            self.assertEqual(ring.find(bob).name, "bob")
            # It is told once.
            self.assertEqual(ring.find(bob).name, "bob")
        self.assertLen(logs.output, 1)
        self.assertIn("not a file of keys", logs.output[0])
        self.path.unlink()
        with self.assertLogs("kerasrnn_serving.gateway", "WARNING"):
            self.assertEqual(ring.find(bob).name, "bob")
        self.run_command("add", "carol")
        self.assertIsNone(ring.find(bob))

    def test_a_key_expires(self):
        now = datetime.datetime.now(datetime.UTC)
        _, key = keys.new_key("a", Limits(), now)
        self.assertTrue(key.has_expired(now))
        self.assertFalse(key.has_expired(now - datetime.timedelta(seconds=1)))
        secret = self.run_command("add", "brief", days=1e-9)
        self.assertIsNone(keys.KeyRing(self.path).find(secret))

    @parameterized.parameters(
        ([], "Received `keys`"),
        (["ad", "x"], "Received `keys ad x`"),
        (["add"], "expected `keys add NAME`"),
        (["add", "a b"], "cannot be named"),
        (["add", ""], "cannot be named"),
        (["add", "alice"], "has a key named 'alice' already"),
        (["remove", "bob"], "has no key named 'bob'"),
    )
    def test_commands_that_cannot_be(self, words, message):
        self.run_command("add", "alice")
        with self.assertRaisesRegex(UserError, message):
            self.run_command(*words)

    def test_a_folder_that_cannot_be_written_to(self):
        self.path = self.path.parent / "nowhere" / "keys.json"
        for words in (["add", "alice"], ["remove", "alice"]):
            with self.assertRaisesRegex(UserError, "Cannot change the keys in"):
                self.run_command(*words)

    def test_a_key_beyond_the_calendar(self):
        with self.assertRaisesRegex(UserError, "beyond the calendar"):
            self.run_command("add", "a", days=1e9)

    @parameterized.parameters(
        ("[]",),
        ('{"keys": 3}',),
        ('{"keys": [3]}',),
        ('{"keys": [{"name": "a"}]}',),
        ('{"keys": [{"name": "a", "sha256": "zz"}]}',),
        ("expires", "tomorrow"),
        ("expires", "2030-01-01"),
        ("requests_per_minute", -1),
        ("requests_per_minute", "many"),
        ("colour", "red"),
    )
    def test_damaged_files(self, text, *value):
        if value:
            _, key = keys.new_key("a", Limits(), None)
            text = json.dumps({"keys": [{**key.to_json(), text: value[0]}]})
        self.path.write_text(text)
        with self.assertRaisesRegex(UserError, "is not a file of keys: .*Put"):
            keys.read(self.path)

    def test_no_file(self):
        with self.assertRaisesRegex(UserError, "keys add NAME --keys="):
            keys.KeyRing(self.path)


class GateTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.gate = Gate(lambda: self.now)

    def ask(self, limits, characters=1, used=None):
        """Asks and ends at once; returns the seconds to wait, or None."""
        try:
            with self.gate.admit(Caller("a", limits), characters) as admission:
                admission.characters = used
        except ApiError as error:
            self.assertEqual(error.status, 429)
            self.assertEqual(error.code, "rate_limit_exceeded")
            return int(error.headers["Retry-After"])
        return None

    def test_requests_a_minute(self):
        limits = Limits(requests_per_minute=6)
        self.assertEqual(
            [self.ask(limits) for _ in range(7)], [None] * 6 + [10]
        )
        self.now += 9.5
        self.assertEqual(self.ask(limits), 1)
        self.now += 1
        self.assertIsNone(self.ask(limits))
        self.now += 1e6
        self.assertEqual(
            [self.ask(limits) for _ in range(7)], [None] * 6 + [10]
        )

    def test_characters_a_minute(self):
        limits = Limits(characters_per_minute=600)
        self.assertIsNone(self.ask(limits, 500))
        self.assertEqual(self.ask(limits, 200), 10)
        self.now += 10
        self.assertIsNone(self.ask(limits, 200))

    def test_what_is_not_used_is_given_back(self):
        limits = Limits(characters_per_minute=600)
        self.assertEqual(
            [self.ask(limits, 600, 60) for _ in range(3)], [None, 6, 6]
        )
        self.now += 6
        self.assertIsNone(self.ask(limits, 600, 60))

    def test_a_request_that_no_minute_allows(self):
        with self.assertRaises(ApiError) as caught:
            with self.gate.admit(
                Caller("a", Limits(characters_per_minute=600)), 601
            ):
                pass
        self.assertEqual(caught.exception.status, 400)

    def test_a_refused_request_costs_nothing(self):
        limits = Limits(requests_per_minute=2, characters_per_minute=10)
        self.assertIsNone(self.ask(limits, 10))
        for _ in range(5):
            self.assertEqual(self.ask(limits, 10), 60)
        self.now += 60
        self.assertIsNone(self.ask(limits, 10))

    def test_requests_at_once(self):
        caller = Caller("a", Limits(requests_at_once=2))
        with self.gate.admit(caller, 1), self.gate.admit(caller, 1):
            self.assertEqual(self.ask(caller.limits), 1)
        self.assertIsNone(self.ask(caller.limits))

    def test_nothing_is_kept_of_strangers_that_have_gone(self):
        for number in range(100):
            caller = Caller(str(number), Limits(requests_at_once=1))
            with self.gate.admit(caller, 1):
                pass
        self.assertEqual(self.gate.accounts, 0)


if __name__ == "__main__":
    absltest.main()
