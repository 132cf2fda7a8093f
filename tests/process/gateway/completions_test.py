"""The completions API through clients that others made, and by hand."""

import json
import pathlib
import tempfile

import openai
from absl.testing import absltest
from absl.testing import parameterized
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_process import GatewayProcess
from langchain_openai import OpenAI


class CompletionsTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.server = FakeServer(pathlib.Path(directory.name))
        cls.addClassCleanup(cls.server.stop)
        cls.gateway = GatewayProcess(cls.server.target)
        cls.addClassCleanup(cls.gateway.close)
        cls.url = f"{cls.gateway.url}/v1"
        cls.openai = openai.OpenAI(base_url=cls.url, api_key="-", max_retries=0)
        cls.addClassCleanup(cls.openai.close)

    def create(self, **fields):
        fields = {"model": "kerasrnn", "prompt": "abc", "seed": 1} | fields
        return self.openai.completions.create(**fields)

    def stream(self, **fields):
        return list(self.create(stream=True, **fields))

    def test_a_text(self):
        reply = self.create(max_tokens=300)
        (choice,) = reply.choices
        self.assertEqual(choice.text, expected(1, 1, 300))
        self.assertEqual(choice.finish_reason, "length")
        self.assertEqual(choice.seed, 1)
        self.assertEqual(reply.system_fingerprint, "version-1")
        self.assertEqual(
            (reply.usage.prompt_tokens, reply.usage.completion_tokens), (3, 300)
        )

    def test_a_stream_is_the_text_in_pieces(self):
        events = self.stream(
            max_tokens=300, stream_options={"include_usage": True}
        )
        pieces = [event.choices[0].text for event in events[:-1]]
        self.assertEqual("".join(pieces), expected(1, 1, 300))
        self.assertGreater(len(pieces), 3)
        finishes = [event.choices[0].finish_reason for event in events[:-1]]
        self.assertEqual(finishes, [None] * (len(pieces) - 1) + ["length"])
        self.assertEqual(events[-1].usage.total_tokens, 303)
        self.assertLen({event.id for event in events}, 1)

    def test_samples_and_prompts(self):
        reply = self.create(prompt=["a", "b"], n=2, max_tokens=50)
        self.assertEqual(
            [(one.index, one.text) for one in reply.choices],
            [(i, expected(1, 1 + i % 2, 50)) for i in range(4)],
        )
        texts = dict.fromkeys(range(4), "")
        for event in self.stream(prompt=["a", "b"], n=2, max_tokens=50):
            for choice in event.choices:
                texts[choice.index] += choice.text
        self.assertEqual(texts, {one.index: one.text for one in reply.choices})

    def test_a_state_goes_on(self):
        first = self.create(max_tokens=70).choices[0]
        rest = self.create(
            prompt="", max_tokens=50, extra_body={"state": first.state}
        ).choices[0]
        self.assertEqual(first.text + rest.text, expected(1, 1, 120))
        whole = self.create(max_tokens=120).choices[0]
        self.assertEqual(rest.state, whole.state)

    def test_each_event_has_its_state_if_that_is_wanted(self):
        plain = self.stream(max_tokens=100)
        states = [getattr(event.choices[0], "state", None) for event in plain]
        self.assertEqual(states.count(None), len(plain) - 1)
        text = ""
        for event in self.stream(
            max_tokens=100, stream_options={"include_states": True}
        ):
            text += event.choices[0].text
            rest = self.create(
                prompt="",
                max_tokens=5,
                extra_body={"state": event.choices[0].state},
            )
            self.assertEqual(
                text + rest.choices[0].text, expected(1, 1, len(text) + 5)
            )

    @parameterized.parameters(
        ("ghi",),
        (["ghi"],),
        (["zz", "ghi", "hij"],),
        # Within the second piece of a stream, and at the end of the first.
        (["nm", "rst"],),
        (["ghij", "nothing"],),
    )
    def test_stop(self, stop):
        stops = [stop] if isinstance(stop, str) else stop
        whole = expected(1, 1, 300)
        end, found = min(
            (whole.index(one) + len(one), one) for one in stops if one in whole
        )
        fields = {"stop": stop, "max_tokens": 300}
        choice = self.create(**fields).choices[0]
        self.assertEqual(choice.text, whole[: end - len(found)])
        self.assertEqual(choice.finish_reason, "stop")
        self.assertEqual(choice.stop_reason, found)
        events = self.stream(**fields)
        self.assertEqual(
            "".join(event.choices[0].text for event in events), choice.text
        )
        last = events[-1].choices[0]
        self.assertEqual(
            (last.finish_reason, last.stop_reason), ("stop", found)
        )
        # The state is that after the stop string, which the model wrote.
        self.assertEqual(last.state, choice.state)
        rest = self.create(
            prompt="", max_tokens=5, extra_body={"state": choice.state}
        )
        self.assertEqual(rest.choices[0].text, whole[end : end + 5])

    def test_echo_and_log_probs(self):
        choice = self.create(max_tokens=100, echo=True, logprobs=3).choices[0]
        text = "abc" + expected(1, 1, 100)
        self.assertEqual(choice.text, text)
        self.assertEqual(choice.logprobs.tokens, list(text))
        self.assertEqual(choice.logprobs.token_logprobs, [-0.5] * len(text))
        self.assertEqual(choice.logprobs.text_offset, list(range(len(text))))
        # What the fake thinks likely is the character before.
        tops = [list(top) for top in choice.logprobs.top_logprobs[1:]]
        self.assertEqual(tops, [[one] for one in text[:-1]])
        joined = []
        for event in self.stream(max_tokens=100, echo=True, logprobs=3):
            joined += event.choices[0].logprobs.tokens
        self.assertEqual(joined, list(text))

    def test_scoring(self):
        choice = self.create(
            prompt="ab?", max_tokens=0, echo=True, logprobs=0
        ).choices[0]
        self.assertEqual(choice.text, "ab?")
        self.assertEqual(choice.logprobs.token_logprobs, [-0.5, -0.5, None])

    def test_models(self):
        (model,) = self.openai.models.list().data
        self.assertEqual((model.id, model.versions), ("kerasrnn", [1]))
        self.assertEqual(self.openai.models.retrieve("kerasrnn"), model)
        with self.assertRaises(openai.NotFoundError):
            self.openai.models.retrieve("other")

    def test_errors_have_openai_s_shape(self):
        with self.assertRaisesRegex(openai.NotFoundError, "serves 'kerasrnn'"):
            self.create(model="gpt")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.create(suffix="end")
        self.assertEqual(caught.exception.param, "suffix")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.create(stream=True, extra_body={"state": "c29tZQ"})
        self.assertEqual(caught.exception.code, "invalid_state")

    @parameterized.parameters("--model=shakespeare", "--model_version=7")
    def test_a_model_that_the_server_does_not_have(self, flag):
        gateway = GatewayProcess(self.server.target, flag)
        self.addCleanup(gateway.close)
        for method, path, body in (
            ("POST", "/v1/completions", '{"prompt": "a"}'),
            ("POST", "/v1/completions", '{"prompt": "a", "stream": true}'),
            ("GET", "/readyz", None),
            ("GET", "/v1/models", None),
        ):
            with self.subTest(path):
                status, headers, reply = gateway.request(method, path, body)
                self.assertEqual(status, 503)
                error = json.loads(reply)["error"]
                self.assertEqual(error["code"], "model_not_served")
                self.assertIn("--model_version", error["message"])
                # It does not pass, so that nobody is told to try again.
                self.assertNotIn("retry-after", headers)

    def test_langchain(self):
        model = OpenAI(
            base_url=self.url,
            api_key="-",
            model="kerasrnn",
            max_tokens=40,
            seed=1,
        )
        self.assertEqual(model.invoke("abc"), expected(1, 1, 40))
        pieces = list(model.stream("abc"))
        self.assertEqual("".join(pieces), expected(1, 1, 40))
        self.assertGreater(len(pieces), 1)
        self.assertEqual(model.batch(["a", "b"]), [expected(1, 1, 40)] * 2)

    def test_by_hand(self):
        status, headers, body = self.gateway.request(
            "POST", "/v1/completions", b'{"prompt":"a","seed":1,"stream":true}'
        )
        self.assertEqual(status, 200)
        self.assertEqual(
            headers["content-type"], "text/event-stream; charset=utf-8"
        )
        events = body.decode().split("\n\n")
        self.assertEqual(events[-2:], ["data: [DONE]", ""])
        texts = [
            json.loads(event.removeprefix("data: "))["choices"][0]["text"]
            for event in events[:-2]
        ]
        self.assertEqual("".join(texts), expected(1, 1, 200))
        line = self.gateway.wait_for_line(id=headers["x-request-id"])
        self.assertEqual(line["characters"], 200)
        self.assertEqual(line["status"], 200)
        self.assertNotIn("caller", line)

    @parameterized.parameters(
        ("GET", "/v1/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/nothing", 404),
        ("GET", "/page/../app.py", 404),
        ("GET", "/page/%2e%2e/app.py", 404),
    )
    def test_other_addresses(self, method, path, expected_status):
        status, _, body = self.gateway.request(method, path)
        self.assertEqual(status, expected_status)
        self.assertIn("message", json.loads(body)["error"])

    def test_health_and_metrics(self):
        for path in ("/healthz", "/readyz"):
            status, _, body = self.gateway.request("GET", path)
            self.assertEqual((status, json.loads(body)["status"]), (200, "ok"))
        before = self.gateway.metric("characters_total", kind="generated")
        self.create(max_tokens=77)
        self.assertEqual(
            self.gateway.metric("characters_total", kind="generated"),
            before + 77,
        )
        self.assertEqual(self.gateway.metric("backend_version", version="1"), 1)
        self.assertEqual(self.gateway.metric("backend_calls_running"), 0)
        refused = self.gateway.metric("errors_total", code="model_not_found")
        self.gateway.complete(model="other")
        self.assertEqual(
            self.gateway.metric("errors_total", code="model_not_found"),
            refused + 1,
        )


if __name__ == "__main__":
    absltest.main()
