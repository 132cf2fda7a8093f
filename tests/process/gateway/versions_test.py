"""Completions go on while the versions of the model are replaced."""

import base64
import json
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import OwnTokensServable
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_process import GatewayProcess

PROMPT = "abc"
KINDS = [
    {"logprobs": 0},
    {"logprobs": 0, "stream": True},
    {"logprobs": 2},
    {"logprobs": 2, "stream": True},
]


class VersionsTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.replacing = cls.start(keeps_versions=False)
        cls.keeping = cls.start(keeps_versions=True)

    @classmethod
    def start(cls, **options):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        server = FakeServer(
            pathlib.Path(directory.name),
            servable_class=OwnTokensServable,
            **options,
        )
        cls.addClassCleanup(server.stop)
        gateway = GatewayProcess(server.target)
        cls.addClassCleanup(gateway.close)
        return server, gateway

    def use(self, pair):
        """Takes a server with its gateway, and the version in service."""
        self.server, self.gateway = pair
        self.old = self.server.versions.version
        self.new = self.old + 1
        # Whatever the version, the old one's text is "cdef...".
        self.seed = 2 - self.old

    def written(self, version, length):
        return expected(version, self.seed, length)

    def create(self, **fields):
        """Returns the one choice, joined where it is streamed."""
        fields = {
            "prompt": PROMPT,
            "seed": self.seed,
            "max_tokens": 300,
        } | fields
        status, _, body = self.gateway.request(
            "POST", "/v1/completions", json.dumps(fields)
        )
        self.assertEqual(status, 200, body)
        if not fields.get("stream"):
            reply = json.loads(body)
            return reply["choices"][0] | {"of": reply["system_fingerprint"]}
        *events, done, _ = body.decode().split("\n\n")
        self.assertEqual(done, "data: [DONE]")
        text, tokens, joined = "", [], {}
        for event in events:
            reply = json.loads(event.removeprefix("data: "))
            self.assertIn("choices", reply)
            choice = reply["choices"][0]
            text += choice["text"]
            if choice["logprobs"]:
                tokens += choice["logprobs"]["tokens"]
            joined |= choice | {"of": reply.get("system_fingerprint")}
        return joined | {"text": text, "logprobs": {"tokens": tokens}}

    def state(self, choice):
        """Returns the token of a choice's state."""
        text = choice["state"]
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    @parameterized.parameters(*KINDS)
    def test_log_probs_of_a_text_that_outlives_its_version(self, **kind):
        self.use(self.replacing)
        self.server.publish_after(3, "generate")
        choice = self.create(**kind)
        text = choice["text"]
        self.assertLen(text, 300)
        self.assertEqual(choice["logprobs"]["tokens"], list(text))
        self.assertTrue(choice["restarted"])
        self.assertEqual(choice["of"], f"version-{self.new}")
        # What came before was read by the new version, too: to write on, and
        # before that up to the piece whose probabilities were asked for.
        prompts = {
            bool(inputs["length"][0]): inputs["prompt"][0].decode()
            for inputs in self.server.requests
            if inputs.get("prompt", [b""])[0]
        }
        old = prompts[True].removeprefix(PROMPT)
        self.assertEqual(old, self.written(self.old, len(old)))
        rest = self.written(self.new, 300 - len(old))
        self.assertEqual(text, old + rest)
        self.assertStartsWith(prompts[True], prompts[False])
        self.assertTrue(
            self.state(choice).startswith(b"version %d, " % self.new)
        )

    @parameterized.parameters(*KINDS)
    def test_a_version_that_goes_before_its_text_is_read(self, **kind):
        self.use(self.replacing)
        self.server.publish_after(1, "generate")
        choice = self.create(max_tokens=5, echo=True, **kind)
        text = PROMPT + self.written(self.old, 5)
        self.assertEqual(choice["text"], text)
        self.assertEqual(choice["logprobs"]["tokens"], list(text))
        self.assertTrue(choice["restarted"])
        self.assertEqual(choice["of"], f"version-{self.old}")

    def test_a_version_that_goes_while_it_is_asked_for_both(self):
        self.use(self.replacing)
        self.server.publish_after(1, "score")
        choice = self.create(max_tokens=5, logprobs=1)
        self.assertEqual(choice["text"], self.written(self.old, 5))
        # One version alone has read the text twice: for its probabilities and
        # for their alternatives.
        read = {
            version: [
                inputs["text"].tolist()
                for inputs in self.server.loaded[version].requests
                if "text" in inputs
            ].count([choice["text"].encode()])
            for version in (self.old, self.new)
        }
        self.assertIn(2, read.values())
        self.assertEqual("restarted" in choice, read[self.new] == 2)

    @parameterized.parameters(*KINDS)
    def test_a_version_that_stays_in_service_is_kept_to(self, **kind):
        self.use(self.keeping)
        self.server.publish_after(2, "generate")
        choice = self.create(**kind)
        text = self.written(self.old, 300)
        self.assertEqual(choice["text"], text)
        self.assertEqual(choice["logprobs"]["tokens"], list(text))
        self.assertNotIn("restarted", choice)
        self.assertEqual(self.state(choice), b"version %d, fake:300" % self.old)
        self.assertEmpty(self.server.loaded[self.new].requests)

    @parameterized.parameters(False, True)
    def test_several_stops_in_a_version_that_stays_in_service(self, stream):
        self.use(self.keeping)
        self.server.publish_after(1, "generate")
        choice = self.create(stop=["NEVER", "ef"], stream=stream)
        self.assertEqual(choice["text"] + choice["stop_reason"], "cdef")
        self.assertEqual(self.state(choice), b"version %d, fake:4" % self.old)

    @parameterized.parameters(False, True)
    def test_several_stops_in_a_version_that_is_gone(self, stream):
        self.use(self.replacing)
        self.server.publish_after(1, "generate")
        choice = self.create(stop=["NEVER", "ef"], stream=stream)
        self.assertEqual(choice["text"] + choice["stop_reason"], "cdef")
        self.assertEqual(choice["finish_reason"], "stop")
        self.assertNotIn("state", choice)

    def test_several_stops_in_the_text_of_the_new_version(self):
        self.use(self.replacing)
        self.server.publish_after(1, "generate")
        choice = self.create(stop=["NEVER", "jk"], stream=True)
        self.assertEqual(choice["text"], "cdefghij" + "defghi")
        self.assertTrue(choice["restarted"])
        self.assertEqual(self.state(choice), b"version %d, fake:8" % self.new)
        rest = self.create(prompt="", state=choice["state"], max_tokens=3)
        self.assertEqual(rest["text"], "lmn")

    @parameterized.parameters((["jd"],), (["NEVER", "jd"],))
    def test_a_stop_string_of_two_versions(self, stop):
        self.use(self.replacing)
        self.server.publish_after(1, "generate")
        choice = self.create(stop=stop, stream=True)
        self.assertEqual(choice["text"], "cdefghi")
        self.assertEqual(choice["stop_reason"], "jd")
        # No call can be made that has written just this.
        self.assertNotIn("state", choice)

    def test_a_state_of_a_version_that_is_gone(self):
        self.use(self.replacing)
        first = self.create(max_tokens=5)
        self.server.publish_after(1, "generate")
        status, reply = self.gateway.complete(
            state=first["state"], max_tokens=5, logprobs=0
        )
        self.assertEqual(
            (status, reply["error"]["code"]), (503, "version_gone")
        )
        status, reply = self.gateway.complete(
            state=first["state"], max_tokens=5, logprobs=0
        )
        self.assertEqual(
            (status, reply["error"]["code"]), (400, "invalid_state")
        )


if __name__ == "__main__":
    absltest.main()
