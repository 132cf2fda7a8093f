"""Which part of a text is for training, validation and test."""

import fractions
import math
from collections.abc import Iterable

from kerasrnn.config import DataConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation.phrases import counted

SPLIT_NAMES = ("train", "validation", "test")


def split_ranges(
    num_characters: int, config: DataConfig, name: str, multiple: int = 1
) -> list[tuple[int, int]]:
    """Returns the ranges (start, stop) of a text that make up a split.

    The ranges of the three splits are disjoint and cover the text. "tail"
    gives one range a split, in the order of `SPLIT_NAMES`; "interleaved"
    cuts the text in `config.split_streams` equal pieces (the last one takes
    what is left over) and splits each.

    Sizes are rounded as the programs do that are to be compared with:
    interleaved as char-rnn (https://github.com/karpathy/char-rnn), tail as
    torch-rnn's preprocessing with a test split, as nanoGPT without.

    Args:
        num_characters: Length of the text.
        config: What to split off, and how.
        name: One of `SPLIT_NAMES`.
        multiple: With "interleaved", pieces and splits are multiples of
            this. char-rnn's split is the one with its sequence length here.
            It is part of the split: whoever evaluates needs the same.

    Raises:
        UserError: There is no such split, or the text is too short for it.
    """
    if name not in SPLIT_NAMES:
        raise UserError(
            f"The split must be one of {', '.join(SPLIT_NAMES)}, not {name!r}."
        )
    index = SPLIT_NAMES.index(name)
    if config.split == "tail":
        bounds = _bounds(num_characters, config)
        ranges = [(bounds[index], bounds[index + 1])]
    else:
        ranges = _interleaved(num_characters, config, index, multiple)
    return [(start, stop) for start, stop in ranges if start < stop]


def check_splits(
    num_characters: int, config: DataConfig, multiple: int = 1
) -> None:
    """Checks that no split is empty of which a share was asked for.

    The arguments are those of `split_ranges`.

    Raises:
        UserError: One is: the pieces of "interleaved" are too short.
    """
    if config.split == "tail":
        return
    for name in SPLIT_NAMES[1:]:
        share = getattr(config, f"{name}_fraction")
        if share and not split_ranges(num_characters, config, name, multiple):
            size = num_characters // config.split_streams // multiple
            raise UserError(
                f"--{name}_fraction={share:g} of each piece of the text is "
                f"less than one sequence: {config.split_streams:,} pieces have "
                f"{counted(size, 'sequence')} of "
                f"{counted(multiple, 'character')} each. Give a larger "
                f"--{name}_fraction, a smaller --split_streams or "
                "--sequence_length, or --split=tail."
            )


def characters_in(ranges: Iterable[tuple[int, int]]) -> int:
    """Returns how many characters lie in ranges (start, stop) of a text."""
    return sum(stop - start for start, stop in ranges)


def _interleaved(
    num_characters: int, config: DataConfig, index: int, multiple: int
) -> list[tuple[int, int]]:
    num_pieces = config.split_streams
    size = num_characters // (num_pieces * multiple)
    if not size:
        most = num_characters // multiple
        fewer = f"--split_streams={most} or less, " if most else ""
        raise UserError(
            f"The text of {counted(num_characters, 'character')} cannot be "
            f"divided into {counted(num_pieces, 'piece')} of at least "
            f"{multiple:,}; give {fewer}--split=tail, or more text."
        )
    bounds = [bound * multiple for bound in _bounds(size, config)]
    start, stop, step = bounds[index], bounds[index + 1], bounds[-1]
    ranges = [(i * step + start, i * step + stop) for i in range(num_pieces)]
    if start < stop == step:
        ranges[-1] = (ranges[-1][0], num_characters)
    return ranges


def _bounds(size: int, config: DataConfig) -> tuple[int, int, int, int]:
    """Returns where train, validation and test begin, and the end."""
    # As decimals: 0.1 of 10 must not depend on binary rounding.
    validation = fractions.Fraction(repr(config.validation_fraction))
    test = fractions.Fraction(repr(config.test_fraction))
    if config.split == "tail" and test:
        test_start = size - math.floor(size * test)
        return 0, test_start - math.floor(size * validation), test_start, size
    train_stop = math.floor(size * (1 - validation - test))
    if not test:
        return 0, train_stop, size, size
    return 0, train_stop, train_stop + math.floor(size * validation), size
