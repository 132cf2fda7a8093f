"""The gateway's page in a real browser: what is refused, and by whom."""

import http.server
import json
import random
import threading

from absl.testing import absltest
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_page import GatewayPageTestCase

# Those after which the page waits, and asks again.
PASSING = (429, 502, 503, 504)
STATUSES = (400, 401, 404, 413, 500, *PASSING)
MOST = 2**53 - 1
ASK = """import("/page/api.js")
  .then(({ complete }) => complete({}, null))
  .then(() => "no failure", (error) => (
    [error.message, error.status, error.passes]))"""


class Proxy(http.server.ThreadingHTTPServer):
    """Stands before a gateway, and sometimes answers in words of its own.

    Attributes:
        url: Its address.
        own: The (status, body) of its next answers to POST.
    """

    def __init__(self, gateway):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gateway = gateway
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.own = []
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()

    def close(self):
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, headers, body = self.server.gateway.request("GET", self.path)
        self._send(200, headers["content-type"], body)

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["content-length"]))
        if self.server.own:
            status, body = self.server.own.pop(0)
            self._send(status, "application/json", body)
            return
        status, headers, body = self.server.gateway.request(
            "POST", self.path, sent, {"Content-Type": "application/json"}
        )
        self._send(status, headers["content-type"], body)

    def _send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused):
        """Says nothing."""


def any_value(draws, depth=2):
    """Returns what JSON can hold."""
    kind = draws.randrange(6 if depth else 4)
    if kind < 4:
        words = draws.choice(("", "Busy.", "é <b>"))
        return (None, True, draws.random(), words)[kind]
    values = [any_value(draws, depth - 1) for _ in range(2)]
    return values if kind == 4 else {"error": values[0], "code": values[1]}


def any_body(draws):
    """Returns what may come with an error: the API's object, or less."""
    body = any_value(draws)
    for name in draws.choice(((), ("error",), ("message", "error"))):
        body = {name: body, "code": any_value(draws)}
    text = json.dumps(body).encode()
    return draws.choice((text, text, text, b"", b"<html>", text[:-1]))


def message_of(body):
    """Returns the message of an error of the API, or None of all else."""
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, TypeError, LookupError):
        return None
    return message if isinstance(message, str) else None


class RefusalsTest(GatewayPageTestCase):
    def open_proxy(self):
        proxy = Proxy(self.gateway)
        self.addCleanup(proxy.close)
        self.open(proxy.url)
        return proxy

    def test_an_error_of_a_proxy_is_what_its_status_says(self):
        proxy = self.open_proxy()
        draws = random.Random(1)
        told = 0
        for _ in range(200):
            body, status = any_body(draws), draws.choice(STATUSES)
            proxy.own.append((status, body))
            message = message_of(body)
            told += bool(message)
            with self.subTest(body, status=status):
                self.assertEqual(
                    self.browser.evaluate(ASK),
                    [
                        message or f"The gateway answered {status}.",
                        status,
                        status in PASSING,
                    ],
                )
        self.assertGreater(told, 3)

    def test_a_text_waits_where_a_proxy_has_no_server(self):
        proxy = self.open_proxy()
        proxy.own.append((503, b'{"message": "no upstream"}'))
        self.set(prompt="abc", seed=1, length=50)
        self.browser.click("#start")
        self.until(
            "document.getElementById('notice').textContent"
            " === 'The gateway answered 503. Waiting for the server…'"
        )
        self.until_written()
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 50))

    def test_seeds_that_the_page_cannot_hold_are_refused(self):
        draws = random.Random(1)
        cases = [(MOST, 1), (MOST, 2), (-MOST, 1), (-MOST - 1, 1)]
        cases += [
            (draws.choice((-1, 1)) * (MOST + draws.randint(-5, 5)), count)
            for count in (1, 2, 3, 4)
            for _ in range(2)
        ]
        for seed, count in [*cases, (10**30, 1)]:
            with self.subTest(seed=seed, samples=count):
                self.open(self.gateway.url)
                self.set(samples=count, length=50)
                self.browser.click("#seed")
                for letter in str(seed):
                    self.browser.press(letter)
                self.browser.click("#start")
                seeds = [seed + sample for sample in range(count)]
                if all(-MOST <= one <= MOST for one in seeds):
                    self.until_written()
                    self.assertEqual(
                        self.browser.text(".text:last-child h2").split()[-1],
                        str(seeds[-1]),
                    )
                    continue
                notice = self.browser.text("#notice")
                self.assertIn(f"from {-MOST} to {MOST}", notice)
                self.assertIn(f"The seed {seed} ", notice)
                self.assertEqual(self.browser.text("#texts"), "")


if __name__ == "__main__":
    absltest.main()
