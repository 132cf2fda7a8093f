"""The gateway's page in a real browser, and a server behind it."""

import json
import pathlib
import tempfile
import time

from absl.testing import absltest

from helpers.processes.browser import Browser
from helpers.servers.fake_servable import FakeServer
from helpers.servers.gateway_process import GatewayProcess
from helpers.servers.held_calls import HeldCalls

_SECONDS = 60


class GatewayPageTestCase(absltest.TestCase):
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

    def lose_server(self, told):
        """Writes a part of a text, and has the model's server go meanwhile.

        Args:
            told: What holds in the page once it has told of it.
        """
        held = HeldCalls(self.server.loaded[1])
        self.set(prompt="abc", seed=1, length=300)
        self.browser.click("#start")
        held.wait_for_calls(1)
        held.let_through(2)
        self.server.stop()
        held.release()
        self.until(told)

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
