"""The gateway's page in a real browser: write, branch, score, come back."""

import json
import pathlib
import tempfile
import time
import urllib.parse

from absl.testing import absltest
from helpers.processes.browser import Browser
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_process import GatewayProcess
from helpers.servers.held_calls import HeldCalls

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>&lt;\"'\n"
_SECONDS = 60


class PageTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = cls.enterClassContext(Browser())
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.server = FakeServer(pathlib.Path(folder))
        cls.addClassCleanup(lambda: cls.server.stop())
        cls.gateway = GatewayProcess(cls.server.target)
        cls.addClassCleanup(cls.gateway.close)

    def setUp(self):
        super().setUp()
        self.browser.errors.clear()
        self.browser.requests.clear()
        self.open(self.gateway.url)

    def open(self, address):
        # A page that differs only after "#" would not be loaded again.
        self.browser.open("data:text/plain,")
        self.browser.open(address)
        self.until("document.getElementById('version').textContent")

    def until(self, expression):
        """Waits until an expression holds in the page."""
        end = time.monotonic() + _SECONDS
        while not self.browser.evaluate(expression):
            if time.monotonic() > end:
                notice = self.browser.text("#notice")
                raise AssertionError(
                    f"{expression}: {notice!r} {self.browser.errors}"
                )
            time.sleep(0.02)

    def set(self, **fields):
        for name, value in fields.items():
            self.browser.evaluate(
                f"""(() => {{
                  const field = document.getElementById({name!r});
                  field.value = {json.dumps(value)};
                  field.dispatchEvent(new Event("input"));
                  field.dispatchEvent(new Event("change"));
                }})()"""
            )

    def shown(self, number=0):
        return self.browser.evaluate(
            f"document.querySelectorAll('.characters')[{number}].textContent"
        )

    def until_written(self):
        self.until("!document.getElementById('copying').hidden")

    def write(self, prompt="abc", seed=1, **fields):
        self.set(prompt=prompt, seed=seed, **fields)
        self.browser.click("#start")
        self.until_written()

    def character(self, index):
        return f".characters span:nth-child({index + 1})"

    def test_types_a_prompt_and_writes(self):
        self.browser.click("#prompt")
        for letter in "ab":
            self.browser.press(letter)
        self.set(seed=1, length=100)
        self.browser.click("#start")
        self.until_written()
        self.assertEqual(self.shown(), "ab" + expected(1, 1, 100))
        self.assertIn("102 characters", self.browser.text(".figures"))
        given = "document.querySelectorAll('.given').length"
        self.assertEqual(self.browser.evaluate(given), 2)
        # Nothing but the gateway is asked, and the policy was never broken.
        hosts = {
            urllib.parse.urlsplit(request).netloc
            for request in self.browser.requests
            if request.startswith("http")
        }
        self.assertEqual(hosts, {f"127.0.0.1:{self.gateway.port}"})
        self.assertEqual(self.browser.errors, [])

    def test_the_policy_of_the_page(self):
        _, headers, body = self.gateway.request("GET", "/")
        policy = headers["content-security-policy"]
        self.assertStartsWith(policy, "default-src 'none'; script-src 'self'")
        self.assertNotIn("unsafe", policy)
        self.assertNotRegex(body.decode(), r"<script>|style=|onclick|//")

    def test_samples_side_by_side(self):
        self.write(samples=3, length=50)
        for index in range(3):
            self.assertEqual(
                self.shown(index), "abc" + expected(1, 1 + index, 50)
            )

    def test_stops_and_goes_on(self):
        held = HeldCalls(self.server.loaded[1])
        self.addCleanup(held.release)
        self.set(prompt="abc", seed=1, length=200)
        self.browser.click("#start")
        held.wait_for_calls(1)
        # One call reads what the alternatives to the first character need.
        held.let_through(2)
        self.until("document.querySelector('.characters').textContent.length>4")
        self.browser.click("#stop")
        self.until("!document.getElementById('continue').disabled")
        before = self.shown()
        self.assertEqual(before, "abc" + expected(1, 1, len(before) - 3))
        self.assertIn("Stopped", self.browser.text("#notice"))
        held.release()
        self.browser.click("#continue")
        self.until_written()
        self.assertEqual(
            self.shown(), "abc" + expected(1, 1, len(before) - 3 + 200)
        )

    def test_an_alternative_branches_the_text(self):
        self.write(length=100)
        # In the second chunk: what is before it is written again.
        self.browser.click(self.character(20))
        self.assertIn("Likely here", self.browser.text("#alternatives"))
        before = self.shown()[:20]
        alternative = self.shown()[19]
        self.browser.click("#alternatives button:nth-of-type(1)")
        self.until("document.querySelectorAll('.given').length == 4")
        self.until_written()
        self.assertEqual(
            self.shown(),
            before + alternative + expected(1, 1, 100, draws=17),
        )

    def test_a_branch_within_the_prompt(self):
        self.write(length=50)
        self.browser.click(self.character(2))
        self.browser.click("#alternatives button:nth-of-type(1)")
        self.until("document.querySelector('.characters').textContent[2]=='b'")
        self.until_written()
        self.assertEqual(self.shown(), "abb" + expected(1, 1, 50))

    def test_a_link_gives_the_same_again(self):
        self.write(samples=2, length=100)
        self.browser.click(self.character(30))
        self.browser.click("#alternatives button:nth-of-type(1)")
        self.until("document.querySelectorAll('.given').length == 7")
        self.until_written()
        self.browser.click("#continue")
        self.until_written()
        texts = [self.shown(0), self.shown(1)]
        self.browser.click("#copy-link")
        self.until("location.hash.length > 1")
        address = self.browser.evaluate("location.href")
        self.open(address)
        self.until_written()
        self.assertEqual([self.shown(0), self.shown(1)], texts)
        self.assertEqual(
            self.browser.evaluate("document.getElementById('prompt').value"),
            "abc",
        )

    def test_damaged_links_are_none(self):
        for part in ("x", "e30", "W10", "%00", "eyJ0ZXh0cyI6W3t9XX0"):
            self.open(f"{self.gateway.url}/#{part}")
            self.assertEqual(self.browser.errors, [])
            self.browser.errors.clear()

    def test_scores_a_text(self):
        self.browser.click("#score-tab")
        self.set(scored="ab?c")
        self.browser.click("#score button[type=submit]")
        self.until("!!document.querySelector('ol.places')")
        self.assertEqual(self.shown(), "ab?c")
        figures = self.browser.text("#scores .figures")
        # -0.5 nats a character.
        self.assertIn("0.721 bits per character", figures)
        self.assertIn("1 that the model does not know", figures)
        places = "document.querySelectorAll('ol.places li').length"
        self.assertEqual(self.browser.evaluate(places), 3)

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

    def test_commands_to_copy(self):
        self.write(prompt="it's\n", length=50)
        # As where there is no clipboard.
        self.browser.evaluate(
            "navigator.clipboard.writeText = async (text) => {"
            " window.copied = text; }"
        )
        self.browser.click("#copy-curl")
        self.until("window.copied")
        self.assertIn(r"'\''s", self.browser.evaluate("window.copied"))
        self.browser.evaluate("window.copied = ''")
        self.browser.click("#copy-python")
        self.until("window.copied")
        program = self.browser.evaluate("window.copied")
        compile(program, "program", "exec")
        self.assertIn("seed=1", program)
        self.assertIn(self.gateway.url, program)

    def test_a_server_that_dies_and_comes_back(self):
        held = HeldCalls(self.server.loaded[1])
        self.set(prompt="abc", seed=1, length=300)
        self.browser.click("#start")
        held.wait_for_calls(1)
        held.let_through(2)
        port = self.server.port
        self.server.stop()
        held.release()
        self.until(
            "document.getElementById('notice').textContent"
            ".includes('does not answer')"
        )
        folder = self.enterContext(tempfile.TemporaryDirectory())
        type(self).server = FakeServer(pathlib.Path(folder), port=port)
        self.until_written()
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 300))
        self.assertEqual(self.browser.text("#notice"), "")

    def test_a_gateway_that_asks_for_keys(self):
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


if __name__ == "__main__":
    absltest.main()
