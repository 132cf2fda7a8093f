"""Pictures with handwritten numbers in them, for examples/reading.py.

They are put together from scikit-learn's digits, anew for every batch.
"""

import keras
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 28, 72
DIGITS = 3  # in a number, at most
VARIANTS = 16  # of each digit, in size and slant
GAP = 2  # pixels between digits, at least
STOP = 10  # the class of no more digits


class Numbers(keras.utils.PyDataset):
    """Batches of pictures with numbers in them, new ones in every epoch.

    `stray` is for training: see `write`.
    """

    def __init__(self, digits, labels, batch, batches, seed, stray=0.0):
        super().__init__()
        self.random = np.random.default_rng(seed)
        self.batch, self.batches = batch, batches
        self.digits = [
            [write(digit, self.random, stray) for _ in range(VARIANTS)]
            for digit in digits
        ]
        self.labels = labels
        self.lengths = range(1, DIGITS + 1)

    def __len__(self):
        return self.batches

    def __getitem__(self, index):
        made = [self.make() for _ in range(self.batch)]
        pictures, labels, places = map(np.stack, zip(*made, strict=True))
        weights = np.cumsum(labels == STOP, axis=1)  # [B, 4]: 0, 1, 2, ...
        return (
            pictures,
            {"digits": labels, "places": places},
            {"digits": weights < 2, "places": weights < 1},
        )

    def make(self):
        """Returns a picture, its labels [4] and the digits' centres [4, 2]."""
        random = self.random
        count = random.choice(self.lengths)
        chosen = random.integers(len(self.digits), size=count)
        images = [self.digits[i][random.integers(VARIANTS)] for i in chosen]
        picture = np.zeros((HEIGHT, WIDTH), "float32")
        spare = WIDTH - sum(image.shape[1] + GAP for image in images)
        # Where the digits lie: the spare columns fall into random gaps.
        gaps = np.diff(
            np.sort(random.integers(spare + 1, size=count)), prepend=0
        )
        x, places = 0, np.zeros((DIGITS + 1, 2), "float32")
        for order, (image, gap) in enumerate(zip(images, gaps, strict=True)):
            height, width = image.shape
            x += gap
            y = random.integers(HEIGHT - height + 1)
            picture[y : y + height, x : x + width] = image
            places[order] = x + width / 2, y + height / 2
            x += width + GAP
        self.clutter(picture)
        labels = np.full(DIGITS + 1, STOP)
        labels[:count] = self.labels[chosen]
        return picture, labels, places

    def clutter(self, picture, pieces=8, side=4):
        """Puts pieces of digits where nothing is yet."""
        for _ in range(pieces):
            y = self.random.integers(HEIGHT - side + 1)
            x = self.random.integers(WIDTH - side + 1)
            if picture[y : y + side, x : x + side].any():
                continue
            image = self.digits[self.random.integers(len(self.digits))][0]
            top = self.random.integers(image.shape[0] - side + 1)
            left = self.random.integers(image.shape[1] - side + 1)
            piece = image[top : top + side, left : left + side]
            picture[y : y + side, x : x + side] = piece


def write(digit, random, stray=0.0):
    """Returns a digit [8, 8] in a random size, a bit askew.

    Args:
        digit: From 0 (paper) to 1 (ink).
        random: NumPy's generator.
        stray: How far corners are pulled and a slant is added, in heights of
            the digit (standard deviation). Its ink changes then, too. So
            more hands seem to have written what is trained on.
    """
    side = random.integers(10, 17)
    width = int(side * random.uniform(0.75, 1))
    picture = Image.fromarray(digit).resize((width, side), Image.BICUBIC)
    if stray:
        corners = np.array([[0, 0], [0, side], [width, side], [width, 0]])
        corners = corners + random.normal(0, stray * side, [4, 2])
        slant = random.normal(0, stray * side)
        corners[:, 0] += [slant, -slant, -slant, slant]
        corners = corners.ravel().tolist()
        picture = picture.transform(
            picture.size, Image.QUAD, corners, Image.BILINEAR
        )
    picture = picture.rotate(random.normal(0, 5), Image.BILINEAR)
    ink = np.clip(np.asarray(picture), 0, 1)
    return ink ** np.exp(random.normal(0, 5 * stray), dtype="float32")
