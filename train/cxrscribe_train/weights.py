"""Network weights on disk: safetensors out; safetensors, a state file or a bundle's graph in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import paddle
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import ENCODER
from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_models import Backbone, FilmEncoder, build_backbone
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.graph_state import read_graph_state
from cxrscribe_train.pickled_state import read_paddle_state, read_torch_state
from cxrscribe_train.torchvision_names import is_torch_state, with_own_names

# A Backbone holds paddle.vision's network under this name; files from elsewhere hold its weights without it.
_NETWORK_PREFIX: Final = "network."
_TORCH_FILES: Final = frozenset({".pth", ".pt"})
_REMEDY: Final = "give weights of this very network"
_BACKBONE_REMEDY: Final = f"{_REMEDY}, or name with --backbone the one that they are of"


@dataclass(frozen=True)
class WeightsSource:
    """Where a backbone's weights come from: a file or a bundle, Paddle's ImageNet download, or a seed."""

    kind: Literal["file", "imagenet", "random"]
    path: Path | None = None
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> WeightsSource:
        """Read `imagenet`, `random:SEED` or the path of a file or a bundle.

        Raises InputError for anything else, BundleError for a bundle whose encoder isn't what it says.
        """
        if text == "imagenet":
            return cls("imagenet")
        if text == "random" or text.startswith("random:"):
            seed = text.removeprefix("random").removeprefix(":")
            if not seed.isdecimal():
                raise InputError(f"weights {text!r}: give random:SEED with a whole number, such as random:7")
            return cls("random", seed=int(seed))
        path = Path(text)
        if path.is_dir():
            return cls("file", path=Bundle.open(path).graph(ENCODER))
        if not path.is_file():
            raise InputError(
                f"weights {text!r} are no file; give a file, the folder of a bundle, imagenet or random:SEED"
            )
        return cls("file", path=path)

    @property
    def identity(self) -> str:
        """A line that differs when the weights do: `random:7`, `imagenet` or `file:<sha256>`."""
        if self.path is not None:
            return f"file:{sha256_of(self.path)}"
        return "imagenet" if self.kind == "imagenet" else f"random:{self.seed}"


def build_encoder(
    backbone: str,
    options: Mapping[str, int | float | str],
    preprocessing: Preprocessing,
    source: WeightsSource | None = None,
) -> FilmEncoder:
    """Build an encoder and fill its backbone from `source`; None leaves what Paddle's random state gives.

    Raises:
        InputError: there is no such backbone, it can't be used on films of this size, or the weights don't
            fit it or can't be had.
    """
    if source is not None and source.kind == "random":
        paddle.seed(source.seed)
    network = build_backbone(
        backbone,
        options,
        height=preprocessing.height,
        width=preprocessing.width,
        pretrained=source is not None and source.kind == "imagenet",
    )
    if source is not None and source.path is not None:
        load_weights(network, source.path)
    return FilmEncoder(network, preprocessing.mean, preprocessing.std)


def save_weights(network: paddle.nn.Layer, path: Path) -> str:
    """Write the state of `network` as safetensors, whole or not at all; returns the file's sha256."""
    content = safetensors.numpy.save(state_arrays(network))
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def state_arrays(network: paddle.nn.Layer) -> dict[str, NDArray[Any]]:
    """Copies of all parameters and buffers of `network`, by name."""
    return {name: np.ascontiguousarray(value.numpy()) for name, value in _own_state(network).items()}


def load_weights(network: paddle.nn.Layer, path: Path) -> None:
    """Fill `network` from safetensors, a state file of Paddle (`.pdparams`) or torch (`.pth`), or a graph.

    A graph is a bundle's `encoder.onnx`, which has the weights to the bit. A file may hold more, such as a
    classifier, but nothing more of the network's own parts. Names may be paddle.vision's or torchvision's.
    Nothing in a file is executed.

    Raises:
        InputError: the file can't be read, a weight is missing in it or has another shape, or it is of a
            deeper network.
    """
    state = _read_state(path)
    own = {name.removeprefix(_NETWORK_PREFIX) for name in _own_state(network)}
    if is_torch_state(state):
        state = with_own_names(state, own)
    remedy = _BACKBONE_REMEDY if isinstance(network, Backbone) else _REMEDY
    fill(network, state, str(path), remedy)
    _refuse_deeper(state, own, path, remedy)


def _refuse_deeper(state: Mapping[str, Any], own: set[str], path: Path, remedy: str) -> None:
    """ResNet-152 has every weight of a ResNet-101: what is left over tells them apart."""
    parts = {name.split(".")[0] for name in own}
    for name, value in state.items():
        bare = name.removeprefix(_NETWORK_PREFIX)
        if bare not in own and bare.split(".")[0] in parts:
            raise InputError(
                f"{path} has a weight {name!r} of shape {list(value.shape)}, for which the network has no "
                f"place: they are of a deeper or otherwise built network; {remedy}"
            )


def fill(network: paddle.nn.Layer, state: Mapping[str, Any], place: str, remedy: str = _REMEDY) -> None:
    """Copy `state` into `network`. Raises InputError when a weight is missing or of another shape.

    `place` is where the state comes from and `remedy` what to do, for the message.
    """
    filled = {}
    for name, value in _own_state(network).items():
        found = state.get(name, state.get(name.removeprefix(_NETWORK_PREFIX)))
        if found is None:
            raise InputError(
                f"{place} has no weight {name!r}, which the network wants in shape {list(value.shape)}; "
                f"{remedy}"
            )
        if list(found.shape) != list(value.shape):
            raise InputError(
                f"{place}: weight {name!r} has shape {list(found.shape)}, the network wants "
                f"{list(value.shape)}; {remedy}"
            )
        filled[name] = np.asarray(found)
    for name, value in _own_state(network).items():
        value.set_value(filled[name])


def _own_state(network: paddle.nn.Layer) -> dict[str, paddle.Tensor]:
    """Each tensor of `network` once: `paddle.nn.LSTM` lists its weights under two names."""
    state: dict[str, paddle.Tensor] = {}
    names: set[str] = set()
    for name, value in network.state_dict().items():
        if value.name not in names:
            names.add(value.name)
            state[name] = value
    return state


def _read_state(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            state = safetensors.numpy.load_file(path)
        elif path.suffix == ".onnx":
            state = read_graph_state(path)
        else:
            state = read_torch_state(path) if path.suffix in _TORCH_FILES else read_paddle_state(path)
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} can't be read as weights: {first_line}; give a .safetensors file, a Paddle state file "
            "(.pdparams), one of torch (.pth) or a bundle"
        ) from error
    return {name: _float32(value) for name, value in state.items()}


def _float32(array: NDArray[Any]) -> NDArray[Any]:
    """Networks are float32, whatever precision a file has; counters stay whole numbers."""
    return array.astype(np.float32) if array.dtype.kind == "f" else array
