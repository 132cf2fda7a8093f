"""The example that highlights source code, in its short form."""

import html.parser
import itertools
import keyword
import re
import sysconfig
import tokenize
from pathlib import Path

from absl.testing import absltest
from helpers.processes.example_process import run_example

LOOKS = {
    "white space": r"[\s\\]+",
    "name": r"\w+",
    "keyword": "|".join(keyword.kwlist),
    "number": r"[.\d][\w.+-]*",
    "string": r"""[a-zA-Z]*['"].*['"]""",
    "comment": r"#[^\n]*",
    "operator": r"[^\w\s#'\"]+",
}


class Page(html.parser.HTMLParser):
    """What a browser reads in the page.

    Attributes:
        tags: Names of all elements.
        title: Text of its heading.
        characters: A tuple `(character, its class by Python, whether it is
            marked as wrong)` for each of the source.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.title, self.characters = set(), "", []
        self._open = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in ("meta", "link"):
            self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self._open.pop()

    def handle_data(self, data):
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "h1":
            self.title += data
        if tag == "span" and self._open[-2][0] == "pre":
            classes, wrong = attributes["class"], False
            if "title" in attributes:
                classes = re.search("; (.*), Python", attributes["title"])[1]
                wrong = True
            self.characters += [(each, classes, wrong) for each in data]


class HighlightTest(absltest.TestCase):
    def test_most_characters_of_whole_files_get_their_class(self):
        example = run_example(
            "examples/highlight.py",
            self.create_tempdir().full_path,
            "--epochs=1",
            "--batches=70",
            "--characters=150_000",
        )
        commonest = example.percentage("commonest class alone is ")
        for pattern in ("held out, pieces.*: ", "held out, .* whole files.*: "):
            self.assertGreater(example.percentage(pattern), commonest + 30)

        page = Page((example.folder / "highlight.html").read_text("utf-8"))
        self.assertNoCommonElements(page.tags, {"script", "img"})
        library = Path(sysconfig.get_path("stdlib"))
        with tokenize.open(library / page.title) as file:
            source = file.read()
        self.assertEqual("".join(c for c, *_ in page.characters), source)
        wrong = sum(wrong for *_, wrong in page.characters)
        self.assertBetween(wrong, 1, 0.5 * len(source))
        for kind, run in itertools.groupby(page.characters, lambda c: c[1]):
            text = "".join(character for character, *_ in run)
            looks = re.fullmatch(LOOKS[kind], text, re.DOTALL)
            self.assertIsNotNone(looks, f"{kind}: {text!r}")


if __name__ == "__main__":
    absltest.main()
