"""Addresses of servers: which there can be, and what is on the way to them."""

from absl.testing import absltest
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st
from kerasrnn_serving.client._connection import address
from kerasrnn_serving.server import listening

from kerasrnn.errors import UserError

GOOD = (
    "localhost:8500",
    "models.example",
    "127.0.0.1:1",
    "[::1]:65535",
    "[::1]",
    "2001:db8::1",
    "dns:///models:8500",
    "dns://10.0.0.1/models.example:8500",
    "dns:models:8500",
    "ipv4:10.0.0.1:8500,10.0.0.2:8500",
    "ipv6:[::1]:8500",
    "unix:/run/models.sock",
    "unix:///run/models.sock",
    "xds:///models",
)
BAD = (
    ("", "names no host"),
    (":8500", "names no host"),
    ("local host:8500", "names no host"),
    ("ipv4:10.0.0.1:8500,", "names no host"),
    ("http://localhost:8500", "is a URL"),
    ("https://models.example", "is a URL"),
    ("grpc://localhost:8500/x", "is a URL"),
    ("localhost:", "port ''"),
    ("localhost:0", "port '0'"),
    ("localhost:99999", "port '99999'"),
    ("localhost:http", "port 'http'"),
    ("dns:///localhost:65536", "port '65536'"),
    ("ipv4:10.0.0.1:8500,10.0.0.2:-1", "port '-1'"),
    ("[::1]:x", "port 'x'"),
    ("localhost:٣", "port"),
    (8500, "must be text"),
    (None, "must be text"),
)


class CheckTest(parameterized.TestCase):
    @parameterized.parameters(*GOOD)
    def test_good_ones(self, target):
        address.check(target)

    @parameterized.parameters(*BAD)
    def test_bad_ones(self, target, text):
        with self.assertRaisesRegex(UserError, text) as raised:
            address.check(target)
        self.assertIn("as in localhost:8500", str(raised.exception))

    @given(st.text() | st.text("[]:/,.a1 dnsipv4"))
    def test_any_text_is_taken_or_refused_in_words(self, text):
        try:
            address.check(text)
        except UserError:
            pass
        self.assertIn(address.is_loopback(text), (True, False))
        address.proxy_of(text, {"http_proxy": text, "no_proxy": text})


class WayTest(parameterized.TestCase):
    @parameterized.parameters(
        "localhost:8500",
        "LOCALHOST",
        "127.0.0.1:8500",
        "127.9.9.9:8500",
        "[::1]:8500",
        "::1",
        "dns:///localhost:8500",
        "ipv4:127.0.0.1:1,127.0.0.2:2",
        "models.localhost:1",
    )
    def test_loopback(self, target):
        self.assertTrue(address.is_loopback(target))
        self.assertIsNone(address.proxy_of(target, {"http_proxy": "http://p"}))

    @parameterized.parameters(
        "models:8500", "10.0.0.1:1", "ipv4:127.0.0.1:1,10.0.0.1:1", "unix:/x"
    )
    def test_no_loopback(self, target):
        self.assertFalse(address.is_loopback(target))

    @parameterized.parameters(
        ({}, None),
        ({"http_proxy": ""}, None),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"http_proxy": "http://p:1"}, "p:1, which http_proxy names"),
        (
            {"http_proxy": "http://p:1", "https_proxy": "http://q:1"},
            "q:1, which https_proxy names",
        ),
        (
            {"grpc_proxy": "http://me:secret@p:1", "https_proxy": "http://q"},
            "p:1, which grpc_proxy names",
        ),
        ({"http_proxy": "me:secret@p:1"}, "p:1, which http_proxy names"),
        ({"http_proxy": "p:1/path?@"}, "that http_proxy names"),
        ({"http_proxy": "http://me:secret@/"}, "that http_proxy names"),
        ({"http_proxy": "http://me:a/?b@p/"}, "p, which http_proxy names"),
        ({"http_proxy": "http://[::1]:1"}, "[::1]:1, which http_proxy names"),
        ({"http_proxy": "A://["}, "[, which http_proxy names"),
        ({"http_proxy": "http://p:1", "no_proxy": "a,.example"}, None),
        (
            {
                "http_proxy": "http://p:1",
                "no_grpc_proxy": "other",
                "no_proxy": "models.example",
            },
            "p:1, which http_proxy names",
        ),
    )
    def test_proxies(self, environment, clause):
        found = address.proxy_of("dns:///models.example:8500", environment)
        self.assertEqual(found, clause and f"the proxy {clause}")

    @given(st.text(), st.text("@:/?#[]p1"))
    def test_what_stands_before_the_last_at_sign_is_never_shown(
        self, before, after
    ):
        after = after.replace("@", "")
        shown, expected = (
            address.proxy_of("models:8500", {"http_proxy": f"{secret}@{after}"})
            for secret in (before, "")
        )
        self.assertEqual(shown, expected)

    def test_networks_without_a_proxy(self):
        environment = {"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}
        self.assertIsNone(address.proxy_of("10.1.2.3:8500", environment))
        self.assertIsNotNone(address.proxy_of("11.1.2.3:8500", environment))


class ListeningTest(parameterized.TestCase):
    @parameterized.parameters(
        ("127.0.0.1", "127.0.0.1:8500"),
        ("192.0.2.2", "192.0.2.2:8500"),
        ("models.example", "models.example:8500"),
        ("2001:db8::1", "[2001:db8::1]:8500"),
        ("0.0.0.0", "127.0.0.1:8500"),
        ("::", "[::1]:8500"),
    )
    def test_where_a_server_is_reached(self, host, expected):
        self.assertEqual(listening.reached_at(host, 8500), expected)
        address.check(expected)


if __name__ == "__main__":
    absltest.main()
