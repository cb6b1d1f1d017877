"""The Paddle networks of a bundle, rebuilt from the weights that its ONNX graphs carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import DECODER_INIT, DECODER_STEP, ENCODER
from cxrscribe.errors import BundleError

if TYPE_CHECKING:
    import onnx

    from cxrscribe_models import FilmEncoder, ReportDecoder

Array = NDArray[Any]

_TRANSPOSED: Final = "_transposed"
_NORM_INPUTS: Final = ("weight", "bias", "_mean", "_variance")
"""What Paddle calls the inputs of a BatchNormalization, behind its first one."""


def encoder_of(bundle: Bundle) -> FilmEncoder:
    """The image encoder, in evaluation mode.

    Raises BundleError naming the weights that the bundle's encoder.onnx doesn't have under Paddle's names.
    """
    import onnx

    from cxrscribe_models import FilmEncoder, build_backbone

    architecture, preprocessing = bundle.manifest.architecture, bundle.manifest.preprocessing
    backbone = build_backbone(
        architecture.backbone,
        architecture.backbone_options,
        height=preprocessing.height,
        width=preprocessing.width,
    )
    encoder = FilmEncoder(backbone, preprocessing.mean, preprocessing.std)
    _fill(encoder, _named(onnx.load(str(bundle.graph(ENCODER)))), ENCODER)
    encoder.eval()
    return encoder


def decoder_of(bundle: Bundle) -> ReportDecoder:
    """The report decoder, in evaluation mode. Raises BundleError as `encoder_of` does."""
    import onnx

    from cxrscribe_export.graphs.decoder_weights import DecoderWeights
    from cxrscribe_models import ReportDecoder

    architecture = bundle.manifest.architecture
    step = DecoderWeights.read(onnx.load(str(bundle.graph(DECODER_STEP))))
    initial = _named(onnx.load(str(bundle.graph(DECODER_INIT))))
    decoder = ReportDecoder(architecture)
    projection = {name: value for name, value in initial.items() if name.startswith("image_projection.")}
    _fill(decoder, {**projection, **_decoder_weights(step, architecture)}, f"{DECODER_INIT}, {DECODER_STEP}")
    decoder.eval()
    return decoder


def _decoder_weights(step: Any, architecture: Architecture) -> dict[str, Array]:
    """Entries of a ReportDecoder's state_dict, from a DecoderWeights."""
    weights = {
        "embedding.weight": step.embedding,
        "output.weight": step.output,
        "output.bias": step.output_bias,
    }
    for place, layer in enumerate(step.layers):
        cell = {
            "weight_ih": layer.input.T,
            "weight_hh": layer.hidden.T,
            # The graph holds the sum of both biases; adding zeros to it changes no bit.
            "bias_ih": layer.bias,
            "bias_hh": np.zeros_like(layer.bias),
        }
        for name, value in cell.items():
            # state_dict has each parameter of the LSTM under these two names.
            weights[f"lstm.{name}_l{place}"] = weights[f"lstm.{place}.cell.{name}"] = value
    return weights


def _named(model: onnx.ModelProto) -> dict[str, Array]:
    """Weights by the names of Paddle's state_dict.

    Equal constants stand in a graph once, under one name: what a batch norm reads is taken by its place.
    """
    from onnx import numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    named = {
        name.removesuffix(_TRANSPOSED): value.T if name.endswith(_TRANSPOSED) else value
        for name, value in constants.items()
    }
    for node in model.graph.node:
        if node.op_type != "BatchNormalization":
            continue
        # The statistics were measured on films, so no other layer has the same.
        layer = node.input[3].removesuffix("._mean")
        named |= {
            f"{layer}.{name}": constants[given]
            for name, given in zip(_NORM_INPUTS, node.input[1:], strict=True)
            if given in constants
        }
    return named


def _fill(network: Any, weights: Mapping[str, Array], graphs: str) -> None:
    """Give a Paddle layer its weights."""
    state = network.state_dict()
    unfit = [
        name
        for name, parameter in state.items()
        if name not in weights or tuple(weights[name].shape) != tuple(parameter.shape)
    ]
    if unfit:
        raise BundleError(
            f"{graphs}: {len(unfit)} weights of the Paddle network are missing or of another shape, such as "
            f"{', '.join(unfit[:3])}; export the bundle again"
        )
    network.set_state_dict({name: np.ascontiguousarray(weights[name]) for name in state})
