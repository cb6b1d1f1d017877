"""The notation of the labeller's tables, and its translation to regular expressions.

A phrase is matched against whole words of one sentence: lower case, joined by single blanks. It is a regular
expression with these additions:

    <name>      one of the alternatives that `WORDS` lists under the name
    [a|b]       these words or none
    ..3         up to three words in between, none of which ends or negates a statement
    {is}        a verb that states something: "is", "appears mildly", "remains"
    {degree}    up to three words of degree or time: "mildly", "mildly to moderately", "again"

Parentheses group without capturing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

STATES: Final = "{is}"

_DEGREE: Final = (
    "again|also|asymmetrically|bilaterally|borderline|chronically|considerably|diffusely|grossly|in size|"
    "likely|(?:at )?(?:the )?upper (?:limits? of )?normal to|little|marked|markedly|massively|mild|mildly|"
    "minimally|moderate|moderately|more|newly|noted|now|"
    "persistently|possibly|probably|quite|relatively|seen|severe|severely|significantly|slightly|somewhat|"
    "stably|still|substantially|to|top normal to|and|a"
)
_VERB: Final = "is|are|was|were|appears?|remains?|looks?|seems?|has become|have become|demonstrates?|shows?"
_MARKS: Final = {
    STATES: f"(?:{_VERB})(?: to be)?(?: (?:{_DEGREE})){{0,3}}",
    # A phrase that ends in a degree takes its blank with it.
    "{degree} ": f"(?:(?:{_DEGREE}) ){{0,3}}",
}
_STOPS: Final = "no|not|without|with|and|but|is|are"
_GAP: Final = r"(?:(?!(?:" + _STOPS + r")\b)\\w+ ){0,\1}?"


def compile_phrases(phrases: Iterable[str], words: Mapping[str, str]) -> re.Pattern[str]:
    """One pattern that matches any of the phrases, longer ones first; `words` are the named alternatives.

    The sign `#` marks words that are already taken: nothing matches inside or beside it.
    """
    expressions = [_expression(phrase, words) for phrase in sorted(phrases, key=len, reverse=True)]
    return re.compile(r"(?<![\w#])(?:" + "|".join(expressions) + r")(?![\w#])")


def _expression(phrase: str, words: Mapping[str, str]) -> str:
    while "<" in phrase:  # alternatives may name others
        phrase = re.sub(r"<(\w+)>", lambda match: f"({words[match[1]]})", phrase)
    phrase = re.sub(r"\[([^\]]+)\] ", r"((\1) )?", phrase)
    phrase = re.sub(r" \[([^\]]+)\]", r"( (\1))?", phrase)
    phrase = re.sub(r"\.\.(\d) ", _GAP, phrase)
    for mark, expression in _MARKS.items():
        phrase = phrase.replace(mark, expression)
    return re.sub(r"\((?!\?)", "(?:", phrase)
