"""The gateway's page in a real browser: what it says while it does several."""

import random

from absl.testing import absltest
from helpers.servers.gateway_page import GatewayPageTestCase
from helpers.servers.held_calls import HeldCalls

# Requests that `window.holds` is true of wait for `window.release()`.
HOLD = """(() => {
  const before = window.fetch;
  window.held = 0;
  const released = new Promise((resolve) => { window.release = resolve; });
  window.fetch = async (path, options = {}) => {
    if (options.body && window.holds(JSON.parse(options.body))) {
      window.held += 1;
      await released;
    }
    return before(path, options);
  };
})()"""
# The gateway refuses what one sample asks for.
REFUSE = """(() => {
  const before = window.fetch;
  window.fetch = async (path, options = {}) => {
    if (options.body && JSON.parse(options.body).seed === 2) {
      const error = { message: "This one is refused.", code: "refused" };
      return new Response(JSON.stringify({ error }), { status: 400 });
    }
    return before(path, options);
  };
})()"""


class NoticesTest(GatewayPageTestCase):
    def notice(self):
        return self.browser.text("#notice")

    def score(self, text):
        self.set(scored=text)
        self.browser.click("#score button[type=submit]")

    def until_scored(self, text):
        self.until(
            "document.querySelector('#scores .characters')?.textContent"
            f" === {text!r}"
        )

    def test_a_sample_that_ends_leaves_why_another_failed(self):
        held = HeldCalls(self.server.loaded[1])
        self.addCleanup(held.release)
        self.browser.evaluate(REFUSE)
        self.set(prompt="abc", seed=1, samples=2, length=50)
        self.browser.click("#start")
        held.wait_for_calls(1)
        self.until("document.getElementById('notice').className === 'trouble'")
        self.assertEqual(self.notice(), "This one is refused.")
        held.release()
        self.until_written()
        self.assertEqual(self.notice(), "This one is refused.")
        # What begins next has the place for itself.
        self.write(samples=1, seed=1)
        self.assertEqual(self.notice(), "")

    def test_a_text_is_scored_while_another_is_written(self):
        self.browser.evaluate(HOLD)
        self.browser.evaluate("window.holds = (body) => body.stream")
        self.set(prompt="abc", seed=1, samples=1, length=50)
        self.browser.click("#start")
        self.until("window.held")
        self.browser.click("#score-tab")
        self.score("abc")
        self.until_scored("abc")
        self.until(
            "document.getElementById('notice').textContent !== 'Scoring…'"
        )
        self.assertEqual(self.notice(), "Writing…")
        self.browser.evaluate("window.release()")
        self.until_written()
        self.assertEqual(self.notice(), "")

    def test_the_last_text_to_score_is_the_one_that_is_shown(self):
        self.browser.evaluate(HOLD)
        self.browser.evaluate("window.holds = (body) => body.prompt === 'old'")
        self.browser.click("#score-tab")
        self.score("old")
        self.until("window.held")
        self.score("new")
        self.until_scored("new")
        self.browser.evaluate("window.release()")
        self.browser.evaluate(
            "(async () => { window.idle = false;"
            " await (await fetch('/readyz')).json(); window.idle = true; })()"
        )
        self.until("window.idle")
        self.until_scored("new")
        self.assertEqual(self.notice(), "")
        self.assertEqual(self.browser.errors, [])

    def test_nobody_clears_what_another_says(self):
        """Of any who begin, say something, fall silent and end."""
        self.browser.evaluate(
            "import('/page/notices.js').then(({ Notices }) => {"
            " window.place = document.createElement('p');"
            " window.all = new Notices(window.place);"
            " window.notices = []; })"
        )
        self.until("!!window.notices")
        draws = random.Random(1)
        said, over, count = [], set(), 0  # said: (number, words), last is shown
        for _ in range(300):
            open_ones = [
                number for number in range(count) if number not in over
            ]
            what = draws.choice(("begin", "say", "end"))
            words = draws.choice(("", "Waiting…", "Writing…", "It failed."))
            if what == "begin" or not open_ones:
                number, count = count, count + 1
                said = [one for one in said if one[0] not in over]
                call = f"window.notices.push(window.all.begin({words!r}))"
            else:
                number = draws.choice(open_ones)
                call = f"window.notices[{number}].{what}({words!r})"
                over |= {number} if what == "end" else set()
            said = [one for one in said if one[0] != number]
            said += [(number, words)] if words else []
            self.browser.evaluate(f"{call}; 0")
            shown = self.browser.evaluate("window.place.textContent")
            self.assertEqual(shown, said[-1][1] if said else "")


if __name__ == "__main__":
    absltest.main()
