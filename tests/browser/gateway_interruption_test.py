"""The gateway's page in a real browser: new work while the old one goes on."""

import base64
import json
import pathlib
import tempfile
import time

from absl.testing import absltest
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_page import GatewayPageTestCase
from helpers.servers.gateway_process import GatewayProcess
from helpers.servers.held_calls import HeldCalls

STOP_WORKS = "!document.getElementById('stop').disabled"
STOPPED = "document.getElementById('notice').textContent == 'Stopped.'"
WAITING = "document.getElementById('notice').textContent.includes('Waiting')"
# A slow network: no answer about the server comes before the page says so.
HOLD_READYZ = """(() => {
  const before = window.fetch;
  const answered = new Promise((resolve) => { window.answer = resolve; });
  window.fetch = async (path, options = {}) => {
    if (path === "/readyz") {
      window.asked = true;
      await new Promise((resolve) => {
        answered.then(resolve);
        if (options.signal) options.signal.addEventListener("abort", resolve);
      });
    }
    return before(path, options);
  };
})()"""


class InterruptionTest(GatewayPageTestCase):
    def setUp(self):
        super().setUp()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.server = FakeServer(pathlib.Path(folder))
        self.addCleanup(lambda: self.server.stop())
        # It soon tells the page that the server is away.
        self.gateway = GatewayProcess(self.server.target, "--timeout=1")
        self.addCleanup(self.gateway.close)
        self.open(self.gateway.url)

    def bring_server_back(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.server = FakeServer(pathlib.Path(folder), port=self.server.port)

    def look_for_server(self):
        """Returns once the page waits for an answer about the server."""
        self.browser.evaluate(HOLD_READYZ)
        self.until("window.asked")
        # Something else than what writes the text may have asked first.
        time.sleep(1.5)

    def choose(self, index):
        """Chooses the first alternative to a character."""
        self.browser.click(self.character(index))
        self.browser.click("#alternatives button:nth-of-type(1)")

    def link(self):
        """Returns the segments of the first text, as a link has them."""
        self.browser.click("#copy-link")
        self.until("location.hash.length > 1")
        hash_ = self.browser.evaluate("location.hash")[1:]
        fields = json.loads(base64.urlsafe_b64decode(hash_ + "==="))
        return [
            (segment["read"], segment["write"])
            for segment in fields["texts"][0]["segments"]
        ]

    def test_a_page_that_is_opened_while_the_server_is_away(self):
        self.server.stop()
        self.gateway.wait_until(
            lambda: self.gateway.request("GET", "/readyz")[0] == 503,
            "the gateway sees that the model's server is away",
        )
        self.browser.open("data:text/plain,")
        self.browser.open(self.gateway.url)
        self.until(WAITING)
        self.assertEqual(self.browser.text("#version"), "")
        self.bring_server_back()
        self.until("document.getElementById('version').textContent")
        self.assertEqual(self.browser.text("#version"), "Version 1")
        self.assertEqual(self.browser.text("#notice"), "")

    def test_a_branch_while_the_page_waits_for_the_server(self):
        self.lose_server(WAITING)
        self.choose(2)
        # By then the page has looked for the server again.
        time.sleep(1.5)
        self.assertTrue(self.browser.evaluate(STOP_WORKS))
        self.assertIn("Waiting", self.browser.text("#notice"))
        self.bring_server_back()
        self.until_written()
        self.assertEqual(self.shown(), "abb" + expected(1, 1, 300))
        self.assertEqual(self.browser.text("#notice"), "")
        self.assertEqual(self.link(), [("abb", 300)])

    def test_a_branch_while_the_page_looks_for_the_server(self):
        self.lose_server(WAITING)
        self.look_for_server()
        self.bring_server_back()
        self.gateway.wait_until(
            lambda: self.gateway.request("GET", "/readyz")[0] == 200,
            "the gateway sees that the model's server is back",
        )
        held = HeldCalls(self.server.loaded[1])
        self.addCleanup(held.release)
        self.choose(2)
        held.wait_for_calls(1)
        self.browser.evaluate("window.answer()")
        time.sleep(0.5)
        held.release()
        self.until_written()
        self.assertEqual(self.shown(), "abb" + expected(1, 1, 300))
        self.assertEqual(self.link(), [("abb", 300)])

    def test_stops_while_the_page_looks_for_the_server(self):
        self.lose_server(WAITING)
        self.look_for_server()
        self.browser.click("#stop")
        self.until(STOPPED)
        self.assertFalse(self.browser.evaluate(STOP_WORKS))

    def test_a_branch_that_has_to_write_again_waits_for_the_server(self):
        self.write(length=100)
        before, alternative = self.shown()[:20], self.shown()[19]
        self.server.stop()
        self.choose(20)
        self.until(WAITING)
        self.assertTrue(self.browser.evaluate(STOP_WORKS))
        self.bring_server_back()
        self.until_written()
        self.assertEqual(
            self.shown(),
            before + alternative + expected(1, 1, 100, draws=17),
        )

    def test_a_gateway_that_is_stopped_and_started_again(self):
        gateway = GatewayProcess(self.server.target, "--drain_seconds=1")
        self.addCleanup(gateway.close)
        self.open(gateway.url)
        held = HeldCalls(self.server.loaded[1])
        self.addCleanup(held.release)
        self.set(prompt="abc", seed=1, length=300)
        self.browser.click("#start")
        held.wait_for_calls(1)
        held.let_through(2)
        self.assertEqual(gateway.terminate(), 0)
        self.until(WAITING)
        held.release()
        again = GatewayProcess(self.server.target, f"--port={gateway.port}")
        self.addCleanup(again.close)
        self.until_written()
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 300))

    def test_a_link_ends_what_is_being_written(self):
        self.write(length=50)
        self.link()
        link = self.browser.evaluate("location.hash")
        held = HeldCalls(self.server.loaded[1])
        self.addCleanup(held.release)
        self.set(seed=2, length=300)
        self.browser.click("#start")
        held.wait_for_calls(1)
        self.browser.evaluate(f"location.hash = {json.dumps(link)}")
        self.gateway.wait_for_line(left=True)
        held.wait_for_calls(1)
        self.browser.click("#stop")
        self.until(STOPPED)
        held.release()
        time.sleep(0.5)
        self.assertTrue(self.browser.evaluate(STOPPED))
        self.assertEqual(self.browser.text(".text h2"), "Seed 1")
        self.browser.click("#continue")
        self.until_written()
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 300))


if __name__ == "__main__":
    absltest.main()
