"""Many to many, one after the other: a date in any spelling, then in digits.

    python examples/dates.py

One LSTM reads "the third of November 2021" or "11/3/21" to its end. From the
state that it ends in another one writes 2021-11-03, character by character,
each after the one that it wrote before, with a look back at what was read
(attention), until it writes the end of the line.

The dates are those of 100 years, 1969 to 2068, as two digits are read by
POSIX. Numbers between slashes are month, day and year, as in the United
States; numbers between dots are day, month and year. It takes some three
minutes, prints how much it gets exactly right of 2,000 dates that it was not
trained on in any spelling, and writes a page with one of them in all
spellings and with what it got wrong.
"""

import datetime
from pathlib import Path

import numpy as np
import shared

# isort: split
import keras

from kerasrnn.layers import LSTM
from kerasrnn.reporting.page import element
from kerasrnn.reporting.page import page

MONTHS = (
    "January February March April May June July August September October "
    "November December"
).split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh "
    "twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth "
    "nineteenth twentieth twenty-first twenty-second twenty-third "
    "twenty-fourth twenty-fifth twenty-sixth twenty-seventh twenty-eighth "
    "twenty-ninth thirtieth thirty-first"
).split()
SPELLINGS = (
    "the {ordinal} of {month} {date.year}",
    "{weekday}, {date.day} {month} {date.year}",
    "{date.day} {month} {date.year}",
    "{month} {date.day}, {date.year}",
    "{month:.3} {date.day}{suffix}, {date.year}",
    "{weekday:.3} {month:.3} {date.day} '{year:02}",
    "{date.day:02}{month:.3}{year:02}",
    "{date.month}/{date.day}/{year:02}",
    "{date.month:02}/{date.day:02}/{date.year}",
    "{date.day}.{date.month}.{date.year}",
)
# How often each is trained on: the words for 31 days need more examples than
# figures do.
WEIGHTS = np.array([3] + [1] * (len(SPELLINGS) - 1))
LONGEST = len("the twenty-seventh of September 2021")


def spell(date, spelling):
    """Returns a date in one of `SPELLINGS`."""
    suffixes = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}
    return spelling.format(
        date=date,
        year=date.year % 100,
        month=MONTHS[date.month - 1],
        weekday=WEEKDAYS[date.weekday()],
        ordinal=ORDINALS[date.day - 1],
        suffix=suffixes.get(date.day, "st" if date.day == 31 else "th"),
    )


def to_ids(texts, length):
    """Returns the texts' ASCII codes, int32 [N, length], 0 behind each."""
    codes = np.array(texts, f"S{length}").view(np.uint8)
    return codes.reshape(len(texts), length).astype(np.int32)


def make_models(units):
    """Returns `(encoder, decoder)`, which share no weights.

    The encoder turns ids [B, T] into what it has read `[outputs [B, T, units],
    h, c]`, h and c [B, units]. The decoder takes ids [B, S], the ids that the
    encoder has read, its outputs, and states; it returns logits [B, S, 128] of
    what comes after each, and states: for many characters at once in training,
    for one at a time when it writes.
    """
    spelled = keras.Input([None], dtype="int32")
    embedded = keras.layers.Embedding(128, 32, mask_zero=True)(spelled)
    read = LSTM(units, return_sequences=True, return_state=True)(embedded)
    encoder = keras.Model(spelled, read)

    previous = keras.Input([None], dtype="int32")
    outputs = keras.Input([None, units])
    start = [keras.Input([units]), keras.Input([units])]
    written, *states = LSTM(units, return_sequences=True, return_state=True)(
        keras.layers.Embedding(128, 16)(previous), initial_state=start
    )
    # Luong et al., 2015: what was read, weighted by how well it fits.
    looked_at = keras.layers.Attention()(
        [written, outputs], mask=[None, keras.ops.not_equal(spelled, 0)]
    )
    logits = keras.layers.Dense(128)(
        keras.layers.Concatenate()([written, looked_at])
    )
    decoder = keras.Model(
        [previous, spelled, outputs, *start], [logits, *states]
    )
    return encoder, decoder


def translate(encoder, decoder, texts):
    """Returns what the decoder writes for each text, by its own choice."""
    spelled = to_ids(texts, LONGEST)
    outputs, *states = encoder.predict_on_batch(spelled)
    last = np.zeros([len(texts), 1], np.int32)
    written = []
    for _ in range(16):  # A date and its end are 11; it may be wrong.
        logits, *states = decoder.predict_on_batch(
            [last, spelled, outputs, *states]
        )
        last = logits.argmax(axis=-1).astype(np.int32)  # [B, 1]
        written.append(last)
    codes = np.concatenate(written, axis=1).astype(np.uint8)
    return [bytes(row).decode().partition("\n")[0] for row in codes]


def training_examples(dates, size, random):
    """Returns `((spelled, previous), written)` of `size` dates, as ids."""
    chosen = [dates[i] for i in random.integers(len(dates), size=size)]
    spellings = random.choice(
        len(SPELLINGS), size=size, p=WEIGHTS / WEIGHTS.sum()
    )
    texts = [
        spell(date, SPELLINGS[i])
        for date, i in zip(chosen, spellings, strict=True)
    ]
    written = to_ids([f"{date}\n" for date in chosen], 11)
    previous = np.pad(written, [(0, 0), (1, 0)])[:, :-1]
    return (to_ids(texts, LONGEST), previous), written


def report(dates, translated):
    """Returns the page: `translated` has a list of texts a spelling."""
    example = dates[0]
    rows, wrong = [], []
    for spelling, texts in translated.items():
        pairs = list(zip(dates, texts, strict=True))
        errors = [(date, text) for date, text in pairs if text != str(date)]
        share = f"{1 - len(errors) / len(dates):.2%}"
        rows.append([spell(example, spelling), texts[0], share])
        wrong += [
            [spell(date, spelling), text, str(date)] for date, text in errors
        ]
    return page(
        "Dates",
        element("h1", text="A date in ten spellings")
        + table(["read", "written", "exactly right"], rows)
        + element("h2", text=f"All {len(wrong)} that are wrong")
        + table(["read", "written", "should be"], wrong),
        style="td, th { text-align: left; padding: 0.1rem 1.5rem 0.1rem 0; }",
    )


def table(header, rows):
    """Returns an HTML table of texts."""
    lines = [[element("th", text=text) for text in header]]
    lines += [[element("td", text=text) for text in row] for row in rows]
    return element("table", *(element("tr", *cells) for cells in lines))


def main(options):
    """Trains, measures and shows."""
    random = np.random.default_rng(options.seed)
    first = datetime.date(1969, 1, 1)
    days = random.permutation((datetime.date(2069, 1, 1) - first).days)
    dates = [first + datetime.timedelta(int(day)) for day in days]
    held_out, dates = dates[: options.held_out], dates[options.held_out :]

    encoder, decoder = make_models(options.units)
    spelled, previous = encoder.input, keras.Input([None], dtype="int32")
    logits, *_ = decoder([previous, spelled, *encoder(spelled)])
    model = keras.Model([spelled, previous], logits)
    steps = max(1, options.epochs * options.batches)
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(0.003, steps),
            global_clipnorm=1.0,
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # The layers have compiled what pays already.
        jit_compile=False,
    )
    for epoch in range(options.epochs):
        inputs, written = training_examples(
            dates, options.batch * options.batches, random
        )
        model.fit(
            inputs,
            written,
            options.batch,
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=2,
        )
        texts = [spell(held_out[epoch], spelling) for spelling in SPELLINGS[:1]]
        print(f"{texts[0]} -> {translate(encoder, decoder, texts)[0]}")

    translated = {
        spelling: translate(
            encoder, decoder, [spell(date, spelling) for date in held_out]
        )
        for spelling in SPELLINGS
    }
    right = {
        spelling: np.mean(np.array(texts) == [str(date) for date in held_out])
        for spelling, texts in translated.items()
    }
    for spelling, texts in translated.items():
        example = spell(held_out[0], spelling)
        print(f"{right[spelling]:8.2%}  {example:{LONGEST}} -> {texts[0]}")
    print(
        f"held out: {np.mean(list(right.values())):.2%} of {len(held_out)} "
        f"dates in {len(SPELLINGS)} spellings are exactly right"
    )
    Path(options.output).write_text(report(held_out, translated), "utf-8")


if __name__ == "__main__":
    shared.run(
        main,
        output="dates.html",
        epochs=(9, "Rounds of spelled dates, each newly drawn."),
        batches=(250, "In a round."),
        batch=(128, "Spelled dates in a batch."),
        held_out=(2000, "Dates that are not trained on in any spelling."),
        units=(128, "Of either LSTM."),
    )
