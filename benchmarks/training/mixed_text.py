"""A text of several kinds and some 6,000 different characters, to try rules on.

    python -m benchmarks.training.mixed_text \
        --data=zh_poems.txt,tinyshakespeare.txt,linux_kernel.txt \
        --output=mixture.txt

takes the beginning of each text and 1,200 syllables of Hangul with their names,
cuts all of it into pieces of 2,000 characters, and writes these in random order
(the same one each time). The program ends by printing how long the result is
and how many kinds of characters it has.
"""

import pathlib
import random
import unicodedata

from absl import app
from absl import flags

_FIRST_SYLLABLE = 0xAC00  # Of Unicode's block "Hangul Syllables".
_SYLLABLES = 1200
_PIECE = 2000  # Characters.


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_list(
        "data", None, "Texts, UTF-8.", required=True, flag_values=flag_values
    )
    flags.DEFINE_string(
        "output",
        None,
        "The file to write.",
        required=True,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "characters",
        500_000,
        "How much of each text is taken.",
        flag_values=flag_values,
    )


def main(argv):
    """Mixes the texts."""
    del argv
    options = flags.FLAGS
    texts = [pathlib.Path(path).read_text("utf-8") for path in options.data]
    mixture = mixed([text[: options.characters] for text in texts])
    pathlib.Path(options.output).write_text(mixture, "utf-8")
    print(f"{len(mixture):,} characters of {len(set(mixture)):,} kinds")


def mixed(texts: list[str]) -> str:
    """Returns the texts and a list of syllables, in pieces in random order."""
    syllables = map(chr, range(_FIRST_SYLLABLE, _FIRST_SYLLABLE + _SYLLABLES))
    listed = (
        f"{each} {unicodedata.name(each).lower()}\n" for each in syllables
    )
    text = "".join([*texts, *listed])
    pieces = [text[i : i + _PIECE] for i in range(0, len(text), _PIECE)]
    random.Random(0).shuffle(pieces)
    return "".join(pieces)


if __name__ == "__main__":
    define_flags()
    app.run(main)
