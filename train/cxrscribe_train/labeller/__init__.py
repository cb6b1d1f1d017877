"""Positive findings of a report, by rules: `label(text)`.

`terms` is the table of what is looked for, `negation` the table of what takes it back, `phrase` the notation
of both, `place` and `severity` the tables of sides and zones and of degrees, `engine` the code that applies
them, sentence by sentence.
"""

from __future__ import annotations

from cxrscribe_train.labeller.engine import label, label_places, label_severities, label_words
from cxrscribe_train.labeller.place import PLACES, Place

__all__ = ["PLACES", "Place", "label", "label_places", "label_severities", "label_words"]
