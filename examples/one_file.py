"""The report of one film with onnxruntime and numpy alone: nothing of cxrscribe is needed here.

    cxrscribe onefile BUNDLE --out report.onnx          # once
    cxrscribe preprocess FILM --bundle BUNDLE --out film.pgm

python one_file.py report.onnx film.pgm
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported

import onnxruntime


def read_pgm(path: str) -> np.ndarray:
    """Pixels uint8 [1, height, width] of a binary PGM: three lines, and then one byte a pixel."""
    magic, size, levels, pixels = Path(path).read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    if (magic, levels, len(pixels)) != (b"P5", b"255", width * height):
        raise ValueError(f"{path} is not a PGM file that `cxrscribe preprocess` wrote")
    return np.frombuffer(pixels, np.uint8).reshape(1, height, width)


def readable(words: list[str]) -> str:
    """A paragraph: sentences start with a capital, punctuation joins the word before it."""
    text = ""
    starts_sentence = True
    for word in words:
        if word in (".", ",", ";", ":") and text:
            text += word
        else:
            text += " " * bool(text) + (word[:1].upper() + word[1:] if starts_sentence else word)
        starts_sentence = word == "."
    return text


def main() -> None:
    """Print the best report, or say what is wrong with model or film."""
    if len(sys.argv) != 3:
        sys.exit("usage: python one_file.py report.onnx film.pgm")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of every setting that may be overridden
    try:
        session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        # Settings are inputs too, with defaults: {"image": ..., "beam_width": np.array(5)}
        outputs = session.run(None, {"image": read_pgm(sys.argv[2])})
    except Exception as error:
        sys.exit(f"Error: {error}")
    tokens, lengths, scores, finished = (output[0] for output in outputs)  # of the only film, best first
    if scores[0] == -np.inf:
        sys.exit(f"Error: the model found no report for {sys.argv[2]}")
    vocabulary = json.loads(metadata["vocabulary"])
    print(readable([vocabulary[token] for token in tokens[0, : lengths[0]]]))
    print(f"score {scores[0]:.2f}, {'finished' if finished[0] else 'cut off'}")
    print(metadata["disclaimer"])


if __name__ == "__main__":
    main()
