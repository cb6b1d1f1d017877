"""Paragraphs of several languages, for all that joins words as the runtime does."""

from __future__ import annotations

from typing import Final

_SENTENCES: Final = (
    "no effusion , pneumothorax , or mass .",
    "50 % of it < 1 cm , 38 ° .",
    "两 肺 纹 理 清 晰 , 未 见 实 变 、 结 节 .",
    "右 肺 见 1.2 cm 结 节 , t12 椎 体 50 % .",
    "胸 水 な し .",
    "肺 ・ 心 ䷀ , cut .",  # neither sign is of a script without blanks
    "两 . , cut .",  # the second sentence starts with a sign
)
_LAST: Final = ("cut off , and 未", "élargi : 未 cut off", "ß , ı", "・ 肺", "䷀ 肺 ,", ", cut")

PARAGRAPHS: Final = tuple(
    f"{first} {second}".split() for first in _SENTENCES for second in (*_SENTENCES, *_LAST)
) + tuple(sentence.split() for sentence in (*_SENTENCES, *_LAST))
