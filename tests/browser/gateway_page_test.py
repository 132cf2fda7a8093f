"""The gateway's page in a real browser: whoever reads it, whatever fails."""

import pathlib
import tempfile

from absl.testing import absltest
from helpers.processes.browser import Browser
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_page import GatewayPageTestCase
from helpers.servers.gateway_process import GatewayProcess

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>&lt;\"'\n"


def refuse_tokens_of(servable, prefix):
    """Has a version know the tokens of another one as a real one does.

    Its own begin with "own:".
    """
    generate, score, inspect = (
        servable._generate,
        servable._score,
        servable._inspect,
    )

    def knowing(call):
        def answer(state_bytes, **inputs):
            if state_bytes.startswith(prefix):
                row = call(state_bytes=b"damaged", **inputs)
                return row | {"error": b"state_bytes is of another model."}
            token = state_bytes.replace(b"own:", b"fake:")
            row = call(state_bytes=token, **inputs)
            own = row["state_bytes"].replace(b"fake:", b"own:")
            return row | {"state_bytes": own}

        return answer

    servable._generate = knowing(generate)
    servable._score = knowing(score)
    servable._inspect = knowing(inspect)


class PageTest(GatewayPageTestCase):
    def test_the_policy_of_the_page(self):
        _, headers, body = self.gateway.request("GET", "/")
        policy = headers["content-security-policy"]
        self.assertStartsWith(policy, "default-src 'none'; script-src 'self'")
        self.assertNotIn("unsafe", policy)
        self.assertNotRegex(body.decode(), r"<script>|style=|onclick|//")

    def test_hostile_texts_are_only_shown(self):
        self.write(prompt=HOSTILE, length=50)
        self.assertStartsWith(self.shown(), HOSTILE)
        self.browser.click("#score-tab")
        self.set(scored=HOSTILE)
        self.browser.click("#score button[type=submit]")
        self.until("!!document.querySelector('ol.places')")
        self.assertEqual(self.browser.dialogs, [])
        self.assertEqual(self.browser.errors, [])

    def test_the_keyboard_does_all(self):
        self.write(length=50)
        self.browser.evaluate("document.querySelector('.characters').focus()")
        for _ in range(11):
            self.browser.press("ArrowRight")
        spoken = self.browser.text(".text [aria-live]")
        self.assertStartsWith(spoken, f"11: {self.shown()[10]}, 0.7 bits")
        self.browser.press("Enter")
        self.assertIn("Likely here", self.browser.text("#alternatives"))
        self.browser.press("Escape")
        self.assertTrue(
            self.browser.evaluate(
                "document.getElementById('alternatives').hidden && "
                "document.activeElement.className == 'characters'"
            )
        )
        before = self.shown()
        self.browser.press("Enter")
        self.browser.press("1")
        self.until("document.querySelectorAll('.given').length == 4")
        self.until_written()
        self.assertStartsWith(self.shown(), before[:10] + before[9])

    def test_what_a_screen_reader_finds(self):
        unnamed = self.browser.evaluate(
            """[...document.querySelectorAll("input, textarea, button")]
            .filter((one) => !(one.labels && one.labels.length)
              && !one.textContent.trim()
              && !one.getAttribute("aria-label")).map((one) => one.id)"""
        )
        self.assertEqual(unnamed, [])
        self.browser.evaluate("document.getElementById('write-tab').focus()")
        self.browser.press("ArrowRight")
        self.assertTrue(
            self.browser.evaluate(
                "document.activeElement.getAttribute('aria-selected')=='true'"
                " && !document.getElementById('score').hidden"
            )
        )

    def test_on_a_phone_and_in_the_dark(self):
        with Browser(width=360, height=700, dark=True) as phone:
            phone.open(self.gateway.url)
            fits = (
                "document.documentElement.scrollWidth"
                " <= document.documentElement.clientWidth"
            )
            self.assertTrue(phone.evaluate(fits))
            colour = phone.evaluate(
                "getComputedStyle(document.body).backgroundColor"
            )
            self.assertEqual(colour, "rgb(22, 23, 27)")

    def test_a_server_that_dies_and_comes_back(self):
        self.lose_server(
            "document.getElementById('notice').textContent"
            ".includes('does not answer')"
        )
        folder = self.enterContext(tempfile.TemporaryDirectory())
        type(self).server = FakeServer(
            pathlib.Path(folder), port=self.server.port
        )
        self.until_written()
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 300))
        self.assertEqual(self.browser.text("#notice"), "")

    def test_a_model_that_the_server_does_not_have(self):
        gateway = GatewayProcess(self.server.target, "--model_version=7")
        self.addCleanup(gateway.close)
        self.browser.open(gateway.url)
        notice = "document.getElementById('notice').textContent"
        self.until(f"{notice}.includes('--model_version')")
        self.browser.click("#start")
        self.until(f"{notice}.includes('Waiting')")
        self.browser.evaluate(
            """(() => {
              const before = window.fetch;
              window.asked = [];
              window.fetch = (path, ...others) => {
                window.asked.push(path);
                return before(path, ...others);
              };
            })()"""
        )
        self.until("window.asked.length >= 4")
        # It waits until the server is ready, and sends the text no more.
        self.assertEqual(
            set(self.browser.evaluate("window.asked")), {"/readyz"}
        )
        self.assertIn("--model_version", self.browser.text("#notice"))

    def test_another_version_reads_the_text_and_goes_on(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        server = FakeServer(pathlib.Path(folder))
        self.addCleanup(server.stop)
        gateway = GatewayProcess(server.target)
        self.addCleanup(gateway.close)
        self.open(gateway.url)
        self.write(length=100)
        server.publish(2)
        refuse_tokens_of(server.loaded[2], prefix=b"fake:")
        self.browser.click("#continue")
        self.until_written()
        first = "abc" + expected(1, 1, 100)
        self.assertEqual(self.shown(), first + expected(2, 1, 100))
        self.assertIn("Version 2", self.browser.text("#version"))

    def write_where_a_key_is_needed(self):
        from kerasrnn_serving.gateway.access import keys
        from kerasrnn_serving.gateway.access.limits import Limits

        path = pathlib.Path(self.create_tempdir().full_path, "keys.json")
        secret, key = keys.new_key("reader", Limits(), None)
        keys.write(path, (key,))
        gateway = GatewayProcess(self.server.target, f"--keys={path}")
        self.addCleanup(gateway.close)
        self.open(gateway.url)
        self.set(prompt="abc", seed=1, length=50)
        self.browser.click("#start")
        self.until(
            "document.getElementById('notice').textContent"
            ".includes('key is needed')"
        )
        self.set(key=secret)
        self.browser.click("#start")
        self.until_written()
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 50))

    def test_a_gateway_that_asks_for_keys(self):
        self.write_where_a_key_is_needed()
        self.browser.evaluate("location.reload()")
        self.browser.wait_for("Page.loadEventFired")
        self.write(length=50)
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 50))

    def test_a_browser_that_stores_nothing(self):
        self.browser = self.enterContext(Browser(site_data=False))
        self.open(self.gateway.url)
        self.assertEqual(
            self.browser.evaluate(
                "(() => { try { return typeof sessionStorage; }"
                " catch (error) { return error.name; } })()"
            ),
            "SecurityError",
        )
        self.write(length=50)
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 50))
        self.write_where_a_key_is_needed()


if __name__ == "__main__":
    absltest.main()
