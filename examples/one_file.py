"""The report of one film with onnxruntime and numpy alone: nothing of cxrscribe is needed here.

    cxrscribe onefile BUNDLE --input film --out report.onnx          # once

python one_file.py report.onnx film.pgm [FOLDER]
FOLDER, if given, keeps the model as it was optimized for this machine: see optimized.py.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported

import onnxruntime

GLUED = (".", ",", ";", ":", "、", "%", "°")
UNSPACED = re.compile(
    "[\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
OUTPUTS = ["tokens", "lengths", "scores", "finished"]


def read_pgm(path: str) -> np.ndarray:
    """Pixels uint8 [height, width] of a binary PGM: three lines, and then one byte a pixel."""
    content = Path(path).read_bytes()
    header = re.match(rb"P5\n(\d+) (\d+)\n255\n", content)
    pixels = content[header.end() :] if header else b""
    width, height = map(int, header.groups()) if header else (0, 0)
    if not header or len(pixels) != width * height:
        raise ValueError(f"{path} is not a binary PGM file of bytes, without comments")
    return np.frombuffer(pixels, np.uint8).reshape(height, width)


def readable(words: list[str]) -> str:
    """A paragraph: sentences start with a capital, punctuation joins the word before it.

    Chinese and Japanese have no blanks between characters, and a comma and a full stop of their own.
    """
    text = ""
    starts = [0, *(place + 1 for place, word in enumerate(words) if word == "."), len(words)]
    for start, end in itertools.pairwise(starts):
        unspaced = any(map(UNSPACED.match, words[start:end]))
        before = ""  # the last word, signs left out
        for place, word in enumerate(words[start:end]):
            if word in GLUED and text:
                text += {".": "。", ",": "，"}.get(word, word) if unspaced else word
                continue
            beside = UNSPACED.match(word) or (place and UNSPACED.match(before)) or text.endswith("。")
            text += ("" if beside or not text else " ") + (word if place else capitalized(word))
            before = word
    return text


def capitalized(word: str) -> str:
    """With a capital, where the first letter has one that stands for the same letter."""
    first = word[:1].title()
    return first + word[1:] if first.lower() == word[:1] else word


def is_whole(session: onnxruntime.InferenceSession) -> bool:
    """Whether `cxrscribe onefile` wrote it, and from a film to words: a part takes or gives features."""
    inputs, outputs = (
        {port.name for port in ports} for ports in (session.get_inputs(), session.get_outputs())
    )
    told = session.get_modelmeta().custom_metadata_map
    return (
        bool(inputs & {"film", "image"})
        and outputs.issuperset(OUTPUTS)
        and {"vocabulary", "settings", "disclaimer"} <= told.keys()
    )


def open_model(path: str, folder: str | None = None) -> onnxruntime.InferenceSession:
    """A session on one file; with a folder, on what is kept there."""
    if folder is not None:
        from optimized import open_optimized

        return open_optimized(Path(path), Path(folder))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of every setting that may be overridden
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Print the best report, or say what is wrong with model or film."""
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python one_file.py report.onnx film.pgm [FOLDER]")
    try:
        session = open_model(*sys.argv[1:2], *sys.argv[3:])
        if not is_whole(session):
            raise ValueError(
                f"{sys.argv[1]} is not a whole file of `cxrscribe onefile`; make it with --part whole"
            )
        metadata = session.get_modelmeta().custom_metadata_map
        pixels, inputs = read_pgm(sys.argv[2]), [value.name for value in session.get_inputs()]
        # `film`, of any size, or `image`, as the network sees it, of which there may be many.
        feeds = {"film": pixels} if "film" in inputs else {"image": pixels[np.newaxis]}
        # Settings that are inputs have to be given. Others, and `patient`, may be: docs/onefile.md.
        settings = json.loads(metadata["settings"])
        kinds = {"length_penalty": np.float32}
        feeds |= {
            name: np.array(settings[name], kinds.get(name, np.int64)) for name in inputs if name in settings
        }
        # What is known of the patient, of a model that reads it: nothing, here.
        feeds |= {
            value.name: np.zeros((1, value.shape[1]), np.float32)
            for value in session.get_inputs()
            if value.name == "patient"
        }
        vocabulary = json.loads(metadata["vocabulary"])
        outputs = session.run(OUTPUTS, feeds)
        if outputs[0].size and not 0 <= outputs[0].min() <= outputs[0].max() < len(vocabulary):
            raise ValueError(f"the vocabulary of {sys.argv[1]} is damaged: make the file anew")
    except Exception as error:
        sys.exit(f"Error: {error}")
    tokens, lengths, scores, finished = (output[0] for output in outputs)  # of the only film, best first
    if scores[0] == -np.inf:
        sys.exit(f"Error: the model found no report for {sys.argv[2]}")
    print(readable([vocabulary[token] for token in tokens[0, : lengths[0]]]))
    print(f"score {scores[0]:.2f}, {'finished' if finished[0] else 'cut off'}")
    print(metadata["disclaimer"])


if __name__ == "__main__":
    main()
