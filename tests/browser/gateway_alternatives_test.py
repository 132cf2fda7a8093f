"""The gateway's page in a real browser: lists of alternatives, and choices."""

import json
import pathlib
import tempfile

from absl.testing import absltest
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import OwnTokensServable
from helpers.servers.fake_servable import expected
from helpers.servers.gateway_page import GatewayPageTestCase
from helpers.servers.gateway_process import GatewayProcess
from kerasrnn_serving.client import FIRST_CHUNK


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


if __name__ == "__main__":
    absltest.main()
