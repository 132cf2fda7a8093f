"""Who may ask the gateway, and how much: keys, limits, addresses, TLS."""

import http.client
import pathlib
import subprocess
import sys
import tempfile
import threading

from absl.testing import absltest
from absl.testing import parameterized
from helpers.servers.fake_servable import FakeServer
from helpers.servers.gateway_process import GatewayProcess
from helpers.servers.held_calls import HeldCalls

PROGRAM = [sys.executable, "-m", "kerasrnn_serving.programs.gateway"]


def run_program(*arguments):
    """Returns (exit status, standard output, standard error)."""
    result = subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=60
    )
    return result.returncode, result.stdout, result.stderr


class AccessTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.folder = pathlib.Path(directory.name)
        (cls.folder / "models").mkdir()
        cls.server = FakeServer(cls.folder / "models")
        cls.addClassCleanup(cls.server.stop)

    def start(self, *flags):
        gateway = GatewayProcess(self.server.target, *flags)
        self.addCleanup(gateway.close)
        return gateway

    def add_key(self, name, *flags):
        status, key, errors = run_program(
            "keys", "add", name, f"--keys={self.folder}/keys.json", *flags
        )
        self.assertEqual((status, errors), (0, ""))
        return key.strip()

    def test_keys(self):
        alice = self.add_key("alice", "--requests_per_minute=2")
        gateway = self.start(
            f"--keys={self.folder}/keys.json", "--host=0.0.0.0"
        )
        for key in (None, "krnn-wrong", "ä"):
            status, reply = gateway.complete(key and key.encode(), prompt="a")
            self.assertEqual(status, 401)
            self.assertEqual(reply["error"]["code"], "invalid_api_key")
        for path in ("/v1/models", "/v1/models/kerasrnn"):
            self.assertEqual(gateway.request("GET", path)[0], 401)
        # What shows nothing and costs nothing needs no key.
        for path in ("/healthz", "/readyz", "/metrics", "/settings"):
            self.assertEqual(gateway.request("GET", path)[0], 200)
        statuses = [gateway.complete(alice, prompt="a")[0] for _ in range(3)]
        self.assertEqual(statuses, [200, 200, 429])
        line = gateway.wait_for_line(status=429)
        self.assertEqual(line["caller"], "alice")
        bob = self.add_key("bob", "--characters_per_minute=100")
        self.assertEqual(
            gateway.complete(bob, prompt="a", max_tokens=90)[0], 200
        )
        status, headers, _ = gateway.request(
            "POST",
            "/v1/completions",
            '{"prompt": "a", "max_tokens": 90}',
            {"Authorization": f"Bearer {bob}"},
        )
        self.assertEqual(status, 429)
        self.assertBetween(int(headers["retry-after"]), 1, 60)
        status, reply = gateway.complete(bob, prompt="a", max_tokens=100)
        self.assertEqual(status, 400)
        self.assertIn("100 a minute are allowed", reply["error"]["message"])
        run_program("keys", "remove", "bob", f"--keys={self.folder}/keys.json")
        self.assertEqual(gateway.complete(bob, prompt="a")[0], 401)
        (self.folder / "keys.json").write_text("damaged")
        self.assertEqual(gateway.complete(alice, prompt="a")[0], 429)

    def test_requests_at_once(self):
        gateway = self.start("--max_requests=2")
        body = b'{"prompt": "a"}'
        waiting = []
        for _ in range(2):
            # A client that reads nothing keeps its request in progress.
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
            self.addCleanup(connection.close)
            connection.request(
                "POST",
                "/v1/completions",
                b'{"prompt":"a","max_tokens":16384,"stream":true,"logprobs":5'
                b',"n":32}',
            )
            connection.sock.recv(1)
            waiting.append(connection)
        status, headers, _ = gateway.request("POST", "/v1/completions", body)
        self.assertEqual((status, headers["retry-after"]), (429, "1"))
        for connection in waiting:
            connection.close()
        for _ in waiting:
            gateway.wait_for_line(left=True)

    @parameterized.parameters(
        ("--host=0.0.0.0", "--keys=FILE"),
        ("--host=::", "--open"),
        ("--host=example.org", "lets other machines in"),
        ("--host=a..b --open", "Cannot listen on a..b:8080"),
        ("--open --keys=x", "Both --keys and --open"),
        ("--keys=missing.json", "keys add NAME --keys=missing.json"),
        ("--https_certificate=a.pem", "needs both"),
        ("--https_certificate=a.pem --https_key=b.pem", "PEM files"),
        ("--max_tokens=0", "max_tokens"),
        ("--open --requests_per_minute=60", "--requests_per_minute belongs"),
        ("--characters_per_minute=9", "`kerasrnn-gateway keys add NAME"),
        ("--keys=k.json --requests_at_once=1", "--requests_at_once belongs"),
        ("--expires_days=2", "--expires_days belongs to a key"),
        ("keys list --keys=k.json --expires_days=2", "with `keys list`"),
        ("keys remove a --keys=k.json --requests_at_once=1", "`keys remove`"),
        ("keys", "keys add NAME"),
        ("keys add a", "--keys=FILE"),
        ("key add a", "Unexpected argument 'key'"),
    )
    def test_refuses_to_start(self, arguments, message):
        status, output, errors = run_program(*arguments.split())
        self.assertEqual((status, output), (1, ""))
        self.assertRegex(errors, r"^error: .*\.\n$")
        self.assertIn(message, errors)

    def test_a_port_that_is_taken(self):
        status, _, errors = run_program(f"--port={self.server.port}")
        self.assertEqual(status, 1)
        self.assertRegex(errors, r"^error: Cannot listen on .*--port\.\n$")

    def test_open(self):
        gateway = self.start("--host=0.0.0.0", "--open")
        self.assertEqual(gateway.complete(prompt="a")[0], 200)

    def test_addresses_behind_a_proxy(self):
        forwarded = {"X-Forwarded-For": "192.0.2.7"}
        for flags, address in (
            (["--trusted_proxy=192.0.2.1"], "127.0.0.1"),
            (["--trusted_proxy=127.0.0.1"], "192.0.2.7"),
        ):
            with self.subTest(flags):
                gateway = self.start(*flags)
                gateway.request("GET", "/v1/models", headers=forwarded)
                line = gateway.wait_for_line(path="/v1/models")
                self.assertEqual(line["address"], address)

    def test_one_caller_does_not_keep_others_waiting(self):
        """The order in which the model's server is asked, with one slot."""
        gateway = self.start("--backend_calls=1", f"--keys={self._two_keys()}")
        held = HeldCalls(self.server.loaded[1])
        self.addCleanup(held.release)
        greedy = [self._ask_in_thread(gateway, self.greedy, "g", 1000)]
        held.wait_for_calls(1)
        greedy += [
            self._ask_in_thread(gateway, self.greedy, "g", 1000)
            for _ in range(5)
        ]
        self._wait_until_waiting(gateway, 5)
        other = self._ask_in_thread(gateway, self.modest, "m", 8)
        self._wait_until_waiting(gateway, 6)
        # The greedy one's call ends; the next but one at the latest is the
        # other's, though five of the greedy one's waited before it.
        for _ in range(3):
            held.let_through(1)
        self.assertIn(b"m", held.prompts[:3])
        held.release()
        for thread in (*greedy, other):
            thread.join()

    def _wait_until_waiting(self, gateway, calls):
        gateway.wait_until(
            lambda: gateway.metric("backend_calls_waiting") >= calls,
            f"{calls} calls wait",
        )

    def _two_keys(self):
        path = self.folder / "two.json"
        if not path.exists():
            keys = {}
            for name in ("greedy", "modest"):
                _, key, _ = run_program("keys", "add", name, f"--keys={path}")
                keys[name] = key.strip()
            type(self).greedy, type(self).modest = keys.values()
        return path

    def _ask_in_thread(self, gateway, key, prompt, length):
        thread = threading.Thread(
            target=gateway.complete,
            args=(key,),
            kwargs={"prompt": prompt, "max_tokens": length},
        )
        thread.start()
        return thread


if __name__ == "__main__":
    absltest.main()
