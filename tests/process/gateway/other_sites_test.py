"""A gateway without keys, asked by the pages of other websites."""

import json
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
from helpers.servers.fake_servable import FakeServer
from helpers.servers.gateway_process import GatewayProcess
from kerasrnn_serving.gateway.access.key_commands import run_command
from kerasrnn_serving.gateway.access.limits import Limits

BODY = '{"prompt": "a", "max_tokens": 5}'
# As `fetch` sends a body with the mode no-cors, and as `curl -d` does.
PLAIN = {"Content-Type": "text/plain;charset=UTF-8"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class OtherSitesTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.server = FakeServer(pathlib.Path(folder.name))
        cls.addClassCleanup(cls.server.stop)
        cls.local = GatewayProcess(cls.server.target)
        cls.addClassCleanup(cls.local.close)
        cls.open = GatewayProcess(cls.server.target, "--open")
        cls.addClassCleanup(cls.open.close)

    def ask(self, gateway, headers):
        """Returns (status, code of the error), and checks who did work."""
        headers = {
            name: value.replace("PORT", str(gateway.port))
            for name, value in (PLAIN | headers).items()
        }
        before = len(self.server.requests)
        status, _, body = gateway.request(
            "POST", "/v1/completions", BODY, headers
        )
        asked = len(self.server.requests) > before
        self.assertEqual(asked, status == 200, "the model was asked")
        error = json.loads(body).get("error", {})
        if error:
            self.assertEqual(error["type"], "invalid_request_error")
            self.assertRegex(error["message"], r"^[A-Z].* --keys.*\.$")
        return status, error.get("code")

    @parameterized.parameters(
        {"Origin": "http://evil.example"},
        {"Origin": "https://evil.example:8080"},
        {"Origin": "null"},
        {"Origin": "chrome-extension://abc"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:PORT"},
        {"Origin": "http://127.0.0.1:PORT.evil.example"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
    )
    def test_a_page_of_another_site(self, **headers):
        for gateway in (self.local, self.open):
            self.assertEqual(self.ask(gateway, headers), (403, "other_site"))
        for path in ("/v1/models", "/v1/models/kerasrnn"):
            status, _, _ = self.local.request("GET", path, headers=headers)
            self.assertEqual(status, 403)

    @parameterized.parameters(
        {},
        FORM,
        {"Origin": "http://127.0.0.1:PORT"},
        {"Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Host": "localhost:PORT", "Origin": "http://localhost:PORT"},
        {"Host": "[::1]:PORT", "Origin": "http://[::1]:PORT"},
        {"Host": "LOCALHOST", "Origin": "http://localhost"},
    )
    def test_its_own_page_and_programs(self, **headers):
        for gateway in (self.local, self.open):
            self.assertEqual(self.ask(gateway, headers), (200, None))

    @parameterized.parameters(
        {"Host": "write.example", "Origin": "https://write.example"},
        {"Host": "write.example:443", "Origin": "https://write.example"},
        {"Host": "write.example:81", "Origin": "http://write.example:81"},
        # nginx changes the host by itself.
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://write.example"},
        # And so does Apache, which says so.
        {"X-Forwarded-Host": "write.example", "Origin": "http://write.example"},
        {"X-Forwarded-Host": "a, b:1", "Origin": "http://b:1"},
    )
    def test_its_own_page_behind_a_proxy(self, **headers):
        self.assertEqual(self.ask(self.open, headers), (200, None))

    @parameterized.parameters(
        "evil.example",
        "evil.example:PORT",
        "localhost.evil.example:PORT",
        "127.0.0.1.evil.example",
        "10.0.0.1:PORT",
        "[::2]:PORT",
        "[::1",
        "",
    )
    def test_the_host_of_another_machine(self, host):
        """The pages of a name that means this machine by now, say."""
        headers = {"Host": host, "Origin": f"http://{host}"}
        self.assertEqual(self.ask(self.local, headers), (403, "other_host"))
        headers = {"Host": host}
        self.assertEqual(self.ask(self.local, headers), (403, "other_host"))
        self.assertEqual(self.ask(self.open, headers), (200, None))

    @parameterized.parameters(
        "localhost", "LocalHost:1", "127.9.9.9:PORT", "[::1]", "a.localhost:1"
    )
    def test_the_host_of_this_machine(self, host):
        self.assertEqual(self.ask(self.local, {"Host": host}), (200, None))

    def test_what_needs_no_key_is_for_everybody(self):
        headers = {"Host": "a", "Sec-Fetch-Site": "cross-site"}
        # A link to the page works from wherever it is.
        for path in ("/", "/settings", "/healthz", "/readyz", "/metrics"):
            status, _, _ = self.local.request("GET", path, headers=headers)
            self.assertEqual(status, 200)

    def test_a_trusted_proxy_may_pass_any_host_on(self):
        gateway = GatewayProcess(
            self.server.target, "--trusted_proxy=127.0.0.1"
        )
        self.addCleanup(gateway.close)
        own = {"Host": "write.example", "Origin": "http://write.example"}
        self.assertEqual(self.ask(gateway, own), (200, None))
        other = own | {"Origin": "http://evil.example"}
        self.assertEqual(self.ask(gateway, other), (403, "other_site"))

    def test_a_key_says_enough(self):
        path = pathlib.Path(self.create_tempdir().full_path, "keys.json")
        key = run_command(["add", "a"], path, Limits(), None)
        gateway = GatewayProcess(self.server.target, f"--keys={path}")
        self.addCleanup(gateway.close)
        headers = {"Host": "a", "Origin": "http://evil.example"}
        headers["Authorization"] = f"Bearer {key}"
        self.assertEqual(self.ask(gateway, headers), (200, None))


if __name__ == "__main__":
    absltest.main()
