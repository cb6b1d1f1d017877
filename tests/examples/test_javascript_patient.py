"""What JavaScript makes of a patient's text: the runtime's words and numbers, to the last bit."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from cxrscribe.patient_text import MOST_CHARACTERS, PatientText, terms_of
from support.skips import skip_or_fail

JAVASCRIPT = Path(__file__).resolve().parents[2] / "examples" / "javascript"
PROGRAM = """
import { readFileSync } from "node:fs";
import { PatientText, termsOf } from %s;
const { patientText, texts } = JSON.parse(readFileSync(0, "utf8"));
const reader = new PatientText(patientText);
const wordsOf = (text) => [1, 2].map((version) => termsOf(text, version));
const results = texts.map((text) => [wordsOf(text), [...reader.encode(text)]]);
console.log(JSON.stringify(results));
"""
# What the rules of cleaning speak of.
PIECES = (
    *"abcxnoABCXÉéñßΣσςİıﬁ０１½Ⅷ₂ ·–—-*•_…。！？：；，、。।۔؟.!?:;,'‘’ʼ()[]<>/%&°×хХºª+=",
    *(
        "xxxx",
        "XXXX",
        "___",
        "____",
        " ",
        " ",
        " ",
        "  ",
        "\n",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "\x1c",
        "\x85",
        "\u2028",
    ),
    *(
        "1",
        "12",
        "123",
        "1234",
        "0,5",
        "1,5",
        "2,25",
        ".5",
        "1.5",
        "1,200",
        "12,125",
        " mm",
        "cm",
        " ml",
        "cc",
        "см",
    ),
    *(
        "centímetros",
        "миллиметров",
        " x ",
        "and/or",
        "w/o ",
        "w/out",
        "w/",
        "s/p",
        "c/w",
        "<br>",
        "</p>",
        "< 1",
        ">2%",
    ),
    *(
        "a.p.",
        "p.m.",
        "U.S.A.",
        "Dr. ",
        "Sra. ",
        "vs. ",
        "approx. ",
        "1) ",
        "(2) ",
        "1. ",
        "- ",
        "no",
        "No",
        "of",
        "без",
    ),
    *(
        "chest",
        "pain",
        "Chest Pain",
        "cough",
        "FEVER",
        "derrame",
        "résumé",
        "naïve",
        "e\u0301",
        "a\u0323\u0301",
    ),
    *(
        "हृदय",
        "़",
        "ा",
        "两肺",
        "未见",
        "。",
        "心",
        "が",
        "か\u3099",
        "胸水",
        "\ufeff",
        "\u200b",
        "\u00ad",
        "\u200d",
    ),
    *("\U00020000", "\U0001d400", "😀", "\ufe0f", "ـ", "\u0345", "ǰ", "02/03/2014", "3-14-2009", "xxxx/2/11"),
)
SENTENCES = (
    "Chest pain, fever. XXXX-year-old; COUGH",
    "Nódulo de 1,5 a 2,5 cm, otro de 3,5 cms",
    "Status post fall\nRule out fracture of\nthe left rib\n- cough\n- fever",
    "CHEST PAIN AND SHORTNESS OF BREATH SINCE\nYESTERDAY. NO FEVER. FORMER SMOKER OF\nTHIRTY YEARS.\n",
    "咳嗽\n发热三天\n无胸痛",
    "Cough: no\nFever: yes",
    "हृदय का आकार सामान्य है। फेफड़े साफ़।",
    "",
    "cough " + "x" * MOST_CHARACTERS,
    "\U0001f600" * MOST_CHARACTERS + " cough",
)
TERMS = (
    *(
        "chest",
        "pain",
        "chest pain",
        "cough",
        "fever",
        "no",
        "of",
        "x",
        "a",
        "xx",
        "1",
        "12",
        "cm",
        "mm",
        "two",
    ),
    *("derrame", "心", "两", "肺", "两 肺", "n", "b", "c", "1.5", "é", "an", "with", "status", "status post"),
    *(f"term{place}" for place in range(400)),
)


def drawn_texts(count: int) -> list[str]:
    draw = random.Random(7)
    texts = ["".join(draw.choices(PIECES, k=draw.randint(1, 40))) for _ in range(count)]
    # Any character that Python's Unicode has; those that a browser's newer one has besides are left out.
    signs = [
        chr(code) for code in range(0x20, 0x30000) if unicodedata.category(chr(code)) not in ("Cn", "Cs")
    ]
    texts += ["".join(draw.choices([*signs, *PIECES * 60], k=draw.randint(1, 30))) for _ in range(count)]
    # Of many terms, whose sums have an order.
    return texts + [". ".join(draw.sample(TERMS, draw.randint(1, len(TERMS)))) for _ in range(40)]


@pytest.mark.parametrize("size", [1, 3, 48])
def test_words_and_numbers_are_those_of_the_runtime(size: int) -> None:
    node = shutil.which("node")
    if node is None:
        skip_or_fail("no node on this machine, which runs what reads a patient's text")
    rng = np.random.default_rng(size)
    weights = (1 + 8 * rng.random(len(TERMS))).astype(np.float32)
    text = PatientText(TERMS, weights, rng.normal(size=(len(TERMS), size)).astype(np.float32))
    texts = [*SENTENCES, *drawn_texts(400)]
    asked = {"patientText": json.dumps(text.to_json()), "texts": texts}
    program = PROGRAM % json.dumps((JAVASCRIPT / "patient.mjs").as_uri())
    done = subprocess.run(
        [node, "--input-type=module", "-e", program],
        input=json.dumps(asked),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    known = 0
    for one, (terms, numbers) in zip(texts, json.loads(done.stdout), strict=True):
        assert terms == [terms_of(one, 1), terms_of(one, 2)], one
        expected = text.encode(one)
        assert np.array(numbers, np.float32).tobytes() == expected.tobytes(), one
        known += bool(expected.any())
    assert known > 100
