"""A real browser for tests of pages: headless Chromium over its own protocol.

The DevTools protocol goes through two pipes, so nothing but the standard
library is needed. Where there is no Chromium the test is skipped.
"""

import base64
import contextlib
import fcntl
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
# A browser that says nothing for so long hangs: a failure, not a wait.
_SECONDS = 120


def find_chromium() -> str | None:
    """Returns the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
    """One browser with one empty page; to be used in a `with` statement.

    Args:
        width: Of the window, in CSS pixels.
        height: Of the window, in CSS pixels.
        dark: Whether pages are told that the reader prefers the dark.
        site_data: Whether pages may store anything; an attempt fails where not.

    Attributes:
        errors: What pages complained about: exceptions, refused scripts.
        requests: The addresses that were asked for.
        dialogs: The messages of alert() and the like.

    Raises:
        unittest.SkipTest: There is no Chromium on this machine.
    """

    def __init__(
        self,
        width: int = 1100,
        height: int = 900,
        dark: bool = False,
        site_data: bool = True,
    ):
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        self._size = (width, height)
        self._dark = dark
        self._site_data = site_data
        self._number = 0
        self._session = None
        self._buffer = b""
        self._events: list[dict] = []

    def __enter__(self) -> "Browser":
        chromium = find_chromium()
        if chromium is None:
            raise unittest.SkipTest(
                f"no browser here: none of {', '.join(_NAMES)} is on PATH "
                "(Debian: apt install chromium)"
            )
        with contextlib.ExitStack() as stack:
            self._start(chromium, stack)
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *unused) -> None:
        self._closing.close()

    def open(self, page: str | os.PathLike) -> None:
        """Opens a file, or an address, and waits until it is loaded."""
        address = str(page)
        if "://" not in address and not address.startswith("data:"):
            address = pathlib.Path(page).absolute().as_uri()
        result = self.call("Page.navigate", url=address)
        if "errorText" in result:
            raise AssertionError(f"{address}: {result['errorText']}")
        self.wait_for("Page.loadEventFired")

    def evaluate(self, expression: str):
        """Returns the value of a JavaScript expression in the page."""
        result = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in result:
            raise AssertionError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def dom(self) -> str:
        """Returns the page as it stands now, as HTML."""
        return self.evaluate("document.documentElement.outerHTML")

    def text(self, selector: str = "body") -> str:
        """Returns the text that an element shows."""
        selector = json.dumps(selector)
        return self.evaluate(f"document.querySelector({selector}).innerText")

    def press(self, key: str, code: str = "", text: str = "") -> None:
        """Presses a key and lets go of it.

        Args:
            key: As in KeyboardEvent.key: "ArrowRight", "Enter", "a".
            code: As in KeyboardEvent.code, where the page looks at it.
            text: What the key types; a single character types itself.
        """
        text = text or (key if len(key) == 1 else "")
        text = text or {"Enter": "\r"}.get(key, "")
        arguments = {"key": key, "code": code or key}
        # Tab and Enter do nothing in the page without their number.
        number = {"Tab": 9, "Enter": 13, " ": 32}.get(key)
        if number:
            arguments["windowsVirtualKeyCode"] = number
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", text=text, **arguments
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **arguments)

    def click(self, selector: str) -> None:
        """Clicks into the middle of an element."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=x,
                y=y,
                button="left",
                clickCount=1,
            )

    def hover(self, selector: str) -> None:
        """Moves the mouse into the middle of an element."""
        x, y = self._middle(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: str | os.PathLike) -> None:
        """Writes the whole page, however long, to a PNG file."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "scale": 1}
        clip |= {"width": size["width"], "height": size["height"]}
        result = self.call(
            "Page.captureScreenshot", clip=clip, captureBeyondViewport=True
        )
        pathlib.Path(path).write_bytes(base64.b64decode(result["data"]))

    def call(self, method: str, **parameters) -> dict:
        """Calls a method of the DevTools protocol and returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]
            self._take(answer)

    def wait_for(self, method: str) -> dict:
        """Waits for an event of the protocol; returns its parameters."""
        while True:
            for index, event in enumerate(self._events):
                if event["method"] == method:
                    del self._events[: index + 1]
                    return event["params"]
            self._take(self._receive())

    def _start(self, chromium, stack):
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        stack.enter_context(folder)
        self._log = pathlib.Path(folder.name, "log")
        if not self._site_data:
            _block_site_data(pathlib.Path(folder.name, "profile"))
        child_in, self._commands = _pipe()
        self._answers, child_out = _pipe()
        stack.callback(os.close, self._commands)
        stack.callback(os.close, self._answers)
        width, height = self._size
        process = subprocess.Popen(
            # Chromium reads its commands from 3 and answers to 4.
            ["bash", "-c", f'exec "$@" 3<&{child_in} 4>&{child_out}', "bash"]
            + [chromium, *_FLAGS, f"--window-size={width},{height}"]
            + [f"--user-data-dir={folder.name}/profile", "about:blank"],
            pass_fds=(child_in, child_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stack.enter_context(open(self._log, "wb")),
            start_new_session=True,
        )
        stack.callback(_kill, process)
        # Once: by the time of a second close they may be another's.
        os.close(child_in)
        os.close(child_out)
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        attached = self.call(
            "Target.attachToTarget", targetId=target, flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = "dark" if self._dark else "light"
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def _receive(self):
        """Returns the next message of the browser."""
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._answers], [], [], max(left, 0))
            data = os.read(self._answers, 2**16) if ready else b""
            if not data:
                log = self._log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"The browser does not answer: {log}")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _take(self, event):
        method, parameters = event.get("method"), event.get("params", {})
        if method is None:
            return
        self._events.append(event)
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(parameters["exceptionDetails"]))
        elif method == "Log.entryAdded":
            entry = parameters["entry"]
            if entry["level"] in ("error", "warning"):
                self.errors.append(entry["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(parameters["message"])
            self.call("Page.handleJavaScriptDialog", accept=True)

    def _middle(self, selector):
        found = self.evaluate(
            f"(() => {{ const e = document.querySelector("
            f"{json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return found


def _pipe():
    """Returns a pipe whose ends are above those that Chromium is given."""
    ends = []
    for low in os.pipe():
        ends.append(fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(low)
    return ends


def _block_site_data(profile):
    """Has a new profile say so, as the browser's settings do."""
    values = {"default_content_setting_values": {"cookies": 2}}
    preferences = profile / "Default" / "Preferences"
    preferences.parent.mkdir(parents=True)
    preferences.write_text(json.dumps({"profile": values}))


def _kill(process):
    # It has children of its own, all of its session.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
