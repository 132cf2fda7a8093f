"""The gateway's page in a real browser: lists of alternatives, and choices."""

import json
import pathlib
import tempfile

from absl.testing import absltest
from helpers.servers.fake_servable import LETTERS
from helpers.servers.fake_servable import FakeServable
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import OwnTokensServable
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_page import GatewayPageTestCase
from helpers.servers.gateway_process import GatewayProcess
from kerasrnn_serving.client import FIRST_CHUNK

BYTES = tuple(rf"\x{byte:02x}" for byte in range(0xC0, 0xC5))
HIDDEN = "document.getElementById('alternatives').hidden"


def is_byte(letter, place):
    """Whether a `BytesServable` has a byte there, of those after a letter."""
    return bool(LETTERS.index(letter) >> place & 1)


class BytesServable(FakeServable):
    """Its lists mix letters and bytes, after each letter in another way."""

    def _inspect(self, text, **inputs):
        tops = [
            [
                (BYTES[place] if is_byte(letter, place) else "VWXYZ"[place])
                for place in range(5)
            ]
            for letter in text.decode()
        ]
        row = super()._inspect(text=text, **inputs)
        return row | {
            "top_characters": [[one.encode() for one in top] for top in tops]
        }


class AlternativesTest(GatewayPageTestCase):
    def serve(self, servable_class):
        """Opens the page of another server, and returns that."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        server = FakeServer(pathlib.Path(folder), servable_class=servable_class)
        self.addCleanup(server.stop)
        gateway = GatewayProcess(server.target)
        self.addCleanup(gateway.close)
        self.open(gateway.url)
        return server

    def active(self):
        """Returns who has the focus: an id or a class, or a button's name."""
        return self.browser.evaluate(
            "(({ activeElement: e }) => e.matches('#alternatives button')"
            " ? e.querySelector('.name').textContent : e.id || e.className"
            ")(document)"
        )

    def choose(self, index):
        """Chooses the only alternative to a character, the one before it.

        Returns:
            The text up to it.
        """
        before = self.shown()[:index]
        self.browser.click(self.character(index))
        self.browser.click("#alternatives button")
        return before + before[-1]

    def until_shown(self, text):
        self.until(
            "document.querySelector('.characters').textContent"
            f" === {json.dumps(text)}"
        )
        self.until_written()

    def test_a_choice_after_a_new_version_has_come(self):
        """Before, at and after the first state, in the prompt and after it."""
        server = self.serve(OwnTokensServable)
        first = len("abc") + FIRST_CHUNK
        places = (2, 3, 5, first - 1, first, first + 1, 40, 102)
        for version, place in enumerate(places, 1):
            with self.subTest(place):
                self.write(length=100)
                self.assertEqual(
                    self.shown(), "abc" + expected(version, 1, 100)
                )
                server.publish(version + 1)
                before = self.choose(place)
                self.until_shown(before + expected(version + 1, 1, 100))
                self.assertIn(
                    f"Version {version + 1}", self.browser.text("#version")
                )
                self.assertEqual(self.browser.text("#notice"), "")
                # Its state is that of the text that is shown.
                text = self.shown()
                self.browser.click("#continue")
                self.until_shown(
                    text + expected(version + 1, 1, 100, draws=100)
                )

    def test_another_choice_in_a_place_after_a_new_version_has_come(self):
        server = self.serve(OwnTokensServable)
        self.write(length=100)
        before = self.choose(20)
        self.until_shown(before + expected(1, 1, 100, draws=17))
        server.publish(2)
        self.assertEqual(self.choose(20), before)
        self.until_shown(before + expected(2, 1, 100))

    def test_escape_closes_a_list_that_was_opened_by_pointing(self):
        self.write(length=50)
        self.browser.evaluate("document.getElementById('prompt').focus()")
        self.browser.hover(self.character(5))
        self.until(f"!{HIDDEN}")
        self.browser.press("Escape")
        self.assertTrue(self.browser.evaluate(HIDDEN))
        self.assertEqual(self.active(), "prompt")

    def test_a_list_to_read_only_has_the_focus_until_it_is_closed(self):
        self.browser.click("#score-tab")
        self.set(scored="abcd")
        self.browser.click("#score button[type=submit]")
        self.until("!!document.querySelector('ol.places')")
        self.browser.evaluate("document.querySelector('.characters').focus()")
        for _ in range(3):
            self.browser.press("ArrowRight")
        self.browser.press("Enter")
        self.assertFalse(self.browser.evaluate(HIDDEN))
        self.browser.press("ArrowDown")
        self.assertEqual(self.active(), "alternatives")
        self.browser.press("Escape")
        self.assertTrue(self.browser.evaluate(HIDDEN))
        self.assertEqual(self.active(), "characters")
        self.assertEqual(self.browser.errors, [])

    def test_arrow_keys_reach_all_that_can_be_chosen(self):
        """Of lists that mix letters and bytes in every way."""
        self.serve(BytesServable)
        self.write(prompt=LETTERS, length=50)
        self.browser.evaluate("document.querySelector('.characters').focus()")
        self.browser.press("ArrowRight")
        for letter in LETTERS:
            names = [
                "VWXYZ"[place]
                for place in range(5)
                if not is_byte(letter, place)
            ]
            with self.subTest(letter):
                self.browser.press("ArrowRight")
                self.browser.press("Enter")
                for key, order in (
                    ("ArrowDown", names),
                    ("ArrowUp", [names[0], *names[:0:-1]]),
                ):
                    for name in order:
                        self.assertEqual(self.active(), name)
                        self.browser.press(key)
                self.assertEqual(self.active(), names[0])
                self.browser.press("Escape")
        self.assertEqual(self.browser.errors, [])


if __name__ == "__main__":
    absltest.main()
