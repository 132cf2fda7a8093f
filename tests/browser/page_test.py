"""Tests of the frame of HTML pages, in a real browser."""

import pathlib

from absl.testing import absltest
from helpers.processes.browser import Browser

from kerasrnn.reporting.page import element
from kerasrnn.reporting.page import escape
from kerasrnn.reporting.page import page
from kerasrnn.reporting.page import script_json

# Texts that break out of one context or another.
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "'-alert(4)-'",
    "<!-- <script>",
    "]]></pre></style></title><svg onload=alert(5)>",
    "&lt;b&gt; &amp; &#13; \u2028 \u2029 é€🙂",
    "\nfirst line feed, \r\n and \t tab",
)


class PageTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def write(self, *arguments, **options):
        path = self.folder / "page.html"
        document = page(*arguments, **options)
        path.write_text(document, encoding="utf-8", newline="")
        return path

    def test_every_text_is_shown_and_none_is_run(self):
        body = "".join(
            element("pre", text=text, attributes={"title": text})
            for text in HOSTILE
        )
        script = """
          const texts = JSON.parse(document.getElementById("t").textContent);
          for (const text of texts) {
            const shown = document.createElement("pre");
            shown.textContent = text;
            shown.title = text;
            document.body.append(shown);
          }"""
        path = self.write(HOSTILE[5], body, script=script, data={"t": HOSTILE})
        with Browser() as browser:
            browser.open(path)
            elements = "[...document.querySelectorAll('pre')]"
            for attribute in ("textContent", "title"):
                shown = browser.evaluate(f"{elements}.map(e=>e.{attribute})")
                self.assertEqual(shown, 2 * list(HOSTILE))
            self.assertEqual(browser.evaluate("document.title"), HOSTILE[5])
            self.assertEqual(browser.dialogs, [])
            self.assertEqual(browser.errors, [])
            fetched = [r for r in browser.requests if r[:5] != "data:"]
            self.assertEqual(fetched, [path.as_uri()])

    def test_what_was_not_escaped_is_not_run_either(self):
        body = "<script>alert(1)</script><img src='x' onerror='alert(2)'>"
        path = self.write("Forgotten", body, script="window.ran = true;")
        with Browser() as browser:
            browser.open(path)
            self.assertTrue(browser.evaluate("window.ran"))
            self.assertEqual(browser.dialogs, [])
            self.assertIn("Content Security Policy", " ".join(browser.errors))

    def test_the_dark_is_dark(self):
        path = self.write("Night", element("p", text="Text"))
        colours = {}
        for dark in (False, True):
            with Browser(dark=dark) as browser:
                browser.open(path)
                colours[dark] = browser.evaluate(
                    "getComputedStyle(document.body).backgroundColor"
                )
                if not dark:
                    browser.screenshot(self.folder / "page.png")
        self.assertEqual(colours[False], "rgb(255, 255, 255)")
        self.assertEqual(colours[True], "rgb(20, 23, 27)")
        png = (self.folder / "page.png").read_bytes()
        self.assertEqual(png[:4], b"\x89PNG")

    def test_keys_and_clicks_arrive(self):
        script = """
          window.seen = [];
          document.addEventListener("keydown", e => seen.push(e.key));
          document.querySelector("button").onclick = () => seen.push("click");
          document.querySelector("p").onmouseenter = () => seen.push("mouse");
        """
        body = element("button", text="Go") + element("p", text="Here")
        with Browser() as browser:
            browser.open(self.write("Keys", body, script=script))
            for key in ("ArrowRight", "a"):
                browser.press(key)
            browser.click("button")
            browser.press("Enter")
            browser.hover("p")
            self.assertEqual(
                browser.evaluate("seen"),
                ["ArrowRight", "a", "click", "Enter", "click", "mouse"],
            )
            self.assertIn("Here", browser.text("p"))
            self.assertIn("<button>Go</button>", browser.dom())

    def test_what_cannot_be_shown_is_replaced(self):
        self.assertEqual(escape("a\0\ud800"), "a\ufffd?")
        self.assertEqual(
            element("b", text=1, attributes={"x": None, "y": "'"}),
            '<b y="&#x27;">1</b>',
        )
        self.assertEqual(script_json([1.5, float("nan")]), "[1.5,null]")

    def test_a_script_that_ends_itself_is_refused(self):
        with self.assertRaisesRegex(ValueError, "script"):
            page("", "", script="'</script>'")
        with self.assertRaisesRegex(ValueError, "style"):
            page("", "", style="</style>")


if __name__ == "__main__":
    absltest.main()
