"""The gateway's page in a real browser: write, branch, score, come back."""

import urllib.parse

from absl.testing import absltest
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_page import GatewayPageTestCase
from helpers.servers.gateway_process import GatewayProcess
from helpers.servers.held_calls import HeldCalls


class WritingTest(GatewayPageTestCase):
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

    def test_a_link_to_more_than_one_request_may_write(self):
        gateway = GatewayProcess(self.server.target, "--max_tokens=150")
        self.addCleanup(gateway.close)
        self.open(gateway.url)
        self.write(length=100)
        self.browser.click("#continue")
        self.until_written()
        text = "abc" + expected(1, 1, 200)
        self.assertEqual(self.shown(), text)
        self.browser.evaluate(
            "navigator.clipboard.writeText = async (text) => {"
            " window.copied = text; }"
        )
        self.browser.click("#copy-curl")
        self.until("window.copied")
        command = self.browser.evaluate("window.copied")
        self.assertIn('"max_tokens": 150', command)
        self.assertIn(
            "It writes the first 150 of 200 characters",
            self.browser.text("#notice"),
        )
        self.browser.click("#copy-link")
        self.until("location.hash.length > 1")
        self.open(self.browser.evaluate("location.href"))
        self.until_written()
        self.assertEqual(self.shown(), text)
        # A link may ask for far more; it is written in parts, too.
        self.browser.click("#copy-link")
        self.browser.evaluate(
            """(() => {
              const fields = JSON.parse(atob(location.hash.slice(1)));
              fields.texts[0].segments[0].write = 1000;
              location.hash = btoa(JSON.stringify(fields)).replace(/=*$/, "");
            })()"""
        )
        self.until(
            "document.querySelector('.characters').textContent.length == 1003"
        )
        self.assertEqual(self.shown(), "abc" + expected(1, 1, 1000))

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


if __name__ == "__main__":
    absltest.main()
