"""Names of what is measured: the groups of measurements, the systems, the sources."""

from __future__ import annotations

from typing import Final

FILMS: Final = "films"
"""Source: files of films, in memory."""
FEATURES: Final = "features"
"""Source: rows of features, in memory."""

ONE_FILM: Final = "films, one at a time"
"""Source of token checks: the same files, each by itself."""

OFFLINE_FILMS: Final = "offline/films"
"""All films at once; one measurement a system and precision, labels `system` and `precision`."""
OFFLINE_FEATURES: Final = "offline/features"
"""The same from features."""
SINGLE_FILMS: Final = "single/films"
"""One film at a time, each sample a film; labels as above."""
ENCODER: Final = "encoder"
"""The image encoder alone, on films already decoded; labels as above."""
STAGES: Final = "stages"
"""What happens from film to text, each alone; labels `stage` (below), `precision` and CORES."""
REAL_SIZES: Final = "real sizes"
"""Films as large as detectors give them; labels `format` too, where a stage depends on it."""
FLOOR: Final = "floor"
"""What the machine can do; named `encoder products`, `decoder products`, `encoder bytes`, `decoder bytes`."""
STARTUP: Final = "startup"
"""Fresh processes; labels `start` and `point`."""
SCALING: Final = "scaling"
"""Groups `scaling/<variable>`; labels `x` (its value), `unit`, and `system` where it isn't cxrscribe."""

CORES: Final = "cores"
"""Label of a stage on processors: how many it keeps busy by itself; of film to text, how many it may use."""

STAGE_NAMES: Final = ("decode file", "preprocess", "encode", "search", "film to text")

OURS: Final = "cxrscribe"
PADDLE_DYNAMIC: Final = "paddle-dynamic"
PADDLE_INFERENCE: Final = "paddle-inference"
PLAIN_ONNX: Final = "plain-onnxruntime"
OPENVINO_F32: Final = "openvino-f32"
OPENVINO_FREE: Final = "openvino-as-it-comes"
TORCH_EAGER: Final = "pytorch-eager"
TORCH_COMPILED: Final = "pytorch-compiled"

DESCRIPTIONS: Final = {
    OURS: "cxrscribe",
    PADDLE_DYNAMIC: "the program it replaces: Paddle, film by film, plain loops, always max_length steps",
    PADDLE_INFERENCE: "Paddle Inference, vectorized, static batch",
    PLAIN_ONNX: "onnxruntime, vectorized in numpy, static batch",
    OPENVINO_F32: "OpenVINO held to float32, vectorized in numpy, static batch",
    OPENVINO_FREE: "OpenVINO as it comes, vectorized in numpy, static batch",
    TORCH_EAGER: "PyTorch eager, vectorized, static batch",
    TORCH_COMPILED: "PyTorch compiled, vectorized, static batch",
}


def scaling(variable: str) -> str:
    """The group of a scaling curve."""
    return f"{SCALING}/{variable}"
