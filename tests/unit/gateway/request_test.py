"""Tests of what the completions API takes, and how it refuses the rest."""

import base64
import json

from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies
from kerasrnn_serving.gateway.completions.fields import parse_json
from kerasrnn_serving.gateway.completions.request import encode_state
from kerasrnn_serving.gateway.completions.request import parse_request
from kerasrnn_serving.gateway.completions.response import to_json
from kerasrnn_serving.gateway.errors import ApiError
from kerasrnn_serving.gateway.settings import Settings

SETTINGS = Settings(max_tokens=1000, max_prompt_characters=50, max_choices=8)
NAMES = (
    "model prompt max_tokens temperature top_p top_k min_p n best_of stop "
    "seed stream stream_options echo logprobs user state suffix "
    "presence_penalty frequency_penalty logit_bias"
).split()
SCALARS = (
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.text(max_size=60)
)
VALUES = strategies.recursive(
    SCALARS,
    lambda inner: (
        strategies.lists(inner, max_size=4)
        | strategies.dictionaries(
            strategies.text(max_size=5), inner, max_size=3
        )
    ),
    max_leaves=6,
)


class CountedList(list):
    """One that counts how many of its entries are given out."""

    given = 0

    def __iter__(self):
        for entry in super().__iter__():
            self.given += 1
            yield entry

    def __getitem__(self, place):
        self.given += 1
        return super().__getitem__(place)

    def __repr__(self):
        self.given += len(self)
        return super().__repr__()


class CountedDict(dict):
    """One that counts how many of its names are given out."""

    given = 0

    def __iter__(self):
        for name in super().__iter__():
            self.given += 1
            yield name

    def keys(self):
        self.given += len(self)
        return super().keys()

    def __repr__(self):
        self.given += len(self)
        return super().__repr__()


def parse(**fields):
    return parse_request(fields, "kerasrnn", SETTINGS)


class RequestTest(parameterized.TestCase):
    def refused(self, param, **fields):
        with self.assertRaises(ApiError) as caught:
            parse(**fields)
        error = caught.exception
        self.assertEqual((error.status, error.param), (400, param))
        self.assertRegex(error.message, r"^[A-Za-z_].*\.$")
        return error.message

    def test_prompts_samples_and_seeds(self):
        request = parse(prompt=["a", "b"], n=3, seed=2**63 - 2)
        self.assertEqual(
            [(one.index, one.prompt) for one in request.completions],
            [(i, "aaabbb"[i]) for i in range(6)],
        )
        seeds = [one.seed for one in request.completions]
        self.assertEqual(seeds, 2 * [2**63 - 2, 2**63 - 1, -(2**63)])
        self.assertEqual(request.prompt_characters, 2)
        # Each sample reads its prompt by itself.
        self.assertEqual(request.characters, 6 + 6 * request.max_tokens)

    @parameterized.parameters(
        ({}, 1, 1),
        ({"echo": True}, 1, 1),
        ({"logprobs": 0}, 2, 2),
        ({"logprobs": 0, "echo": True}, 2, 2),
        ({"logprobs": 1}, 2, 3),
        ({"logprobs": 1, "echo": True}, 3, 3),
    )
    def test_each_reading_counts(self, fields, prompts, texts):
        request = parse(prompt=["a" * 10, "b" * 20], n=2, **fields)
        self.assertEqual(
            request.characters_with(100), 60 * prompts + 100 * texts
        )

    def test_more_characters_than_allowed(self):
        bounds = Settings(max_request_characters=1000, max_reply_log_probs=100)
        for fields, param in (
            ({"prompt": "a" * 100, "n": 10, "max_tokens": 0}, None),
            ({"prompt": "a" * 100, "n": 10, "max_tokens": 1}, "n"),
            ({"prompt": "a" * 1001, "max_tokens": 0}, "prompt"),
            ({"prompt": "a", "max_tokens": 1000}, "max_tokens"),
            ({"max_tokens": 400, "logprobs": 1, "stream": True}, "max_tokens"),
            ({"max_tokens": 300, "logprobs": 1, "stream": True}, None),
            ({"max_tokens": 101, "logprobs": 1}, "logprobs"),
            ({"prompt": "a" * 101, "max_tokens": 0, "logprobs": 1}, None),
            (
                {
                    "prompt": "a" * 101,
                    "max_tokens": 0,
                    "logprobs": 0,
                    "echo": True,
                },
                "logprobs",
            ),
        ):
            with self.subTest(fields):
                if param is None:
                    parse_request(fields, "m", bounds)
                    continue
                with self.assertRaises(ApiError) as caught:
                    parse_request(fields, "m", bounds)
                self.assertEqual(caught.exception.param, param)
                self.assertRegex(caught.exception.message, r"\d are allowed")
                self.assertRegex(caught.exception.message, "ower n.*max_tok")

    def test_a_state_comes_back_as_it_was_sent(self):
        for size in range(6):
            token = bytes(range(250, 250 + size))
            request = parse(prompt=["", ""], state=encode_state(token))
            self.assertEqual(
                {one.state for one in request.completions}, {token}
            )

    def test_what_openai_s_clients_send_by_themselves_is_taken(self):
        request = parse(
            model="kerasrnn",
            prompt="a",
            best_of=1,
            n=1,
            frequency_penalty=0,
            presence_penalty=0.0,
            logit_bias={},
            suffix=None,
            logprobs=None,
            stop=None,
            max_tokens=16.0,
        )
        self.assertEqual(request.max_tokens, 16)
        self.assertIsNone(request.logprobs)

    @parameterized.parameters(
        ("prompt", 3),
        ("prompt", [1, 2]),
        ("prompt", [[1, 2]]),
        ("prompt", []),
        ("prompt", "a" * 51),
        ("prompt", "\ud800"),
        ("n", 0),
        ("n", 9),
        ("n", 1.5),
        ("n", True),
        ("best_of", 2),
        ("max_tokens", -1),
        ("max_tokens", 1001),
        ("temperature", -0.1),
        ("temperature", "1"),
        ("temperature", float("inf")),
        ("top_p", 1.1),
        ("top_k", -1),
        ("seed", 2**63),
        ("seed", "1"),
        ("stop", ["a"] * 5),
        ("stop", "a" * 33),
        ("stop", ["a", ""]),
        ("stop", 1),
        ("logprobs", 6),
        ("logprobs", True),
        ("stream", 1),
        ("stream_options", {"other": 1}),
        ("stream_options", []),
        ("echo", "yes"),
        ("user", 1),
        ("state", "äöü"),
        ("state", "a"),
        ("state", ["AA", "AA"]),
        ("suffix", "end"),
        ("min_p", 0.1),
        ("logit_bias", {"50256": -100}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -0.5),
        ("tools", []),
    )
    def test_refuses(self, name, value):
        message = self.refused(name, **{name: value})
        self.assertIn(name.partition("_")[0], message)

    def test_more_completions_than_allowed(self):
        self.refused("n", prompt=["a"] * 3, n=3)
        self.refused("prompt", prompt=["a"] * 9)

    @parameterized.parameters(*NAMES, "unknown")
    def test_a_list_is_counted_before_it_is_looked_at(self, name):
        for entry in ("", "AA", 0, [], "\ud800"):
            # Any of these would be refused for itself, too.
            values = CountedList([entry] * 5000)
            self.refused(name, **{name: values})
            self.assertLessEqual(values.given, SETTINGS.max_choices)

    @parameterized.parameters(*NAMES, "unknown")
    def test_an_object_is_refused_without_a_look_at_all_of_it(self, name):
        values = CountedDict.fromkeys(map(str, range(5000)), 0)
        self.refused(name, **{name: values})
        self.assertLessEqual(values.given, len(NAMES) + 1)

    def test_unknown_parameters_are_not_all_looked_at(self):
        fields = CountedDict.fromkeys(map(str, range(5000)), 0)
        with self.assertRaises(ApiError):
            parse_request(fields, "kerasrnn", SETTINGS)
        self.assertLessEqual(fields.given, len(NAMES) + 1)

    def test_how_many_texts_there_may_be_is_told(self):
        for fields, received in (
            ({"prompt": ["a"] * 9}, 9),
            ({"state": ["AA"] * 9}, 9),
            ({"stop": ["a"] * 5}, 5),
        ):
            name = next(iter(fields))
            message = self.refused(name, **fields)
            self.assertIn(f"received {received}", message)

    def test_another_model(self):
        with self.assertRaises(ApiError) as caught:
            parse(model="gpt")
        self.assertEqual(caught.exception.status, 404)
        self.assertEqual(caught.exception.code, "model_not_found")

    @parameterized.parameters(
        b"",
        b"{",
        b"[]",
        b"3",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"\xff\xfe{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
    )
    def test_what_is_no_object_of_json(self, body):
        with self.assertRaises(ApiError) as caught:
            parse_json(body)
        self.assertEqual(caught.exception.status, 400)

    @settings(max_examples=60)
    @given(
        strategies.dictionaries(
            strategies.sampled_from(NAMES)
            | strategies.text(strategies.characters(), max_size=3),
            VALUES,
        )
    )
    def test_any_json_is_taken_or_refused_in_a_sentence(self, fields):
        body = json.dumps(fields).encode()
        try:
            request = parse_request(parse_json(body), "kerasrnn", SETTINGS)
        except ApiError as error:
            self.assertIn(error.status, (400, 404))
            self.assertIn(error.param, fields)
            self.assertEqual(json.loads(to_json(error.body())), error.body())
        else:
            self.assertLessEqual(len(request.completions), 8)
            self.assertLessEqual(request.max_tokens, 1000)

    @given(strategies.binary(max_size=40))
    def test_any_state_is_base64_or_refused(self, token):
        text = base64.urlsafe_b64encode(token).decode()
        (one,) = parse(state=text).completions
        self.assertEqual(one.state, token)


if __name__ == "__main__":
    absltest.main()
