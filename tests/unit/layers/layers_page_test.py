"""The program of docs/layers.md runs: the layers compute its equations."""

import contextlib
import io
import re

from absl.testing import absltest
from helpers.sources.repository import ROOT

_PAGE = ROOT / "docs" / "layers.md"


class LayersPageTest(absltest.TestCase):
    def test_the_layers_agree_with_their_equations(self):
        (code,) = re.findall(
            r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL
        )
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, {"__name__": "page"})  # noqa: S102
        self.assertEqual(
            printed.getvalue().splitlines(),
            [
                f"{name} agrees with its equations"
                for name in ("SimpleRNN", "LSTM", "GRU")
            ],
        )


if __name__ == "__main__":
    absltest.main()
