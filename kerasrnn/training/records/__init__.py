"""What a run leaves and shows: `history`, `tensorboard` and `display`.

They are the observers of the loop, see `observers`; `report` draws a page from
what they have left.
"""
