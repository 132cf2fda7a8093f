"""Pages of other websites in a real browser, before a gateway without keys."""

import http.server
import json
import threading

from absl.testing import absltest
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_page import GatewayPageTestCase


class _OtherPage(http.server.BaseHTTPRequestHandler):
    """A page that has a link to whatever its query says."""

    def do_GET(self):
        address = self.path.partition("?")[2]
        body = f"<!doctype html><a id=link href='{address}'>link</a>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class GatewayOtherSitesTest(GatewayPageTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _OtherPage)
        cls.addClassCleanup(site.server_close)
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        cls.addClassCleanup(thread.join)
        cls.addClassCleanup(site.shutdown)
        cls.site_port = site.server_port

    def open_other(self, host):
        self.browser.open(
            f"http://{host}:{self.site_port}/?{self.gateway.url}/"
        )

    def fetch(self, fields):
        """Returns the kind of the reply to what the page asks, or the error."""
        return self.browser.evaluate(
            f"""fetch("{self.gateway.url}/v1/completions", {{
              method: "POST", mode: "no-cors",
              body: {json.dumps(json.dumps(fields))},
            }}).then(reply => reply.type, String)"""
        )

    def test_a_page_of_another_site_has_nothing_written(self):
        # Another site by its name, and one that differs by its port alone.
        for host in ("localhost", "127.0.0.1"):
            with self.subTest(host):
                self.open_other(host)
                asked = len(self.server.requests)
                refused = self.gateway.metric("errors_total", code="other_site")
                reply = self.fetch({"prompt": "a", "max_tokens": 5})
                self.assertEqual(reply, "opaque")
                self.assertEqual(
                    self.gateway.metric("errors_total", code="other_site"),
                    refused + 1,
                )
                self.assertLen(self.server.requests, asked)

    def test_a_link_from_another_site_opens_the_page(self):
        self.open_other("localhost")
        self.browser.click("#link")
        self.browser.wait_for("Page.loadEventFired")
        self.until("document.getElementById('version').textContent")
        self.write(length=50)
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 50))


if __name__ == "__main__":
    absltest.main()
