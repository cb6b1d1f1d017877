"""The graphs of a bundle that become one file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import (
    BEAM_INIT,
    BEAM_STEP,
    DECODER_INIT,
    DECODER_STEP,
    ENCODER,
    GraphInterface,
    interfaces_of,
)
from cxrscribe.bundle.files import FP32, sha256_of
from cxrscribe.bundle.manifest import MANIFEST_NAME
from cxrscribe.errors import BundleError
from cxrscribe_export.graphs.conversion import OPSET
from cxrscribe_export.graphs.fusion import fuse, fuse_initial_state
from cxrscribe_export.graphs.naming import ELEMENT_TYPES


class BundleGraphs:
    """What a report is computed with at one precision, from film to candidates. Each is read when asked for.

    Raises BundleError where the bundle lacks a graph, a file is damaged, or a graph isn't one that
    `cxrscribe export` writes.
    """

    def __init__(self, bundle: Bundle, precision: str = FP32) -> None:
        manifest = bundle.manifest
        self._bundle = bundle
        self._precision = precision
        self._interfaces = interfaces_of(manifest.architecture, manifest.preprocessing)
        self.sha256 = {MANIFEST_NAME: sha256_of(bundle.path / MANIFEST_NAME)}
        """Checksums of the files that were read so far, the manifest too, by their paths in the bundle."""

    def encoder(self) -> onnx.ModelProto:
        """The graph of `contract.encoder_interface`."""
        return self._read(ENCODER)

    def initial_state(self) -> onnx.ModelProto:
        """The graph of `contract.beam_init_interface`, made of the canonical one where there is none."""
        return self._read(BEAM_INIT) if self._has(BEAM_INIT) else fuse_initial_state(self._read(DECODER_INIT))

    def step(self) -> onnx.ModelProto:
        """The graph of `contract.beam_step_interface`, made of the canonical one where there is none."""
        return self._read(BEAM_STEP) if self._has(BEAM_STEP) else fuse(self._read(DECODER_STEP))

    def _has(self, name: str) -> bool:
        return self._bundle.has_graph(self._interfaces[name].name, self._precision)

    def _read(self, name: str) -> onnx.ModelProto:
        interface = self._interfaces[name]
        entry = self._bundle.graph_entry(interface.name, self._precision)
        model = _load(self._bundle.graph(interface.name, self._precision))
        _expect(model, interface)
        self.sha256[entry.path] = entry.sha256
        return model


def _load(file: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(file))
    except Exception as error:  # protobuf's own, whose class differs from one implementation to the next
        raise BundleError(f"{file} is not an ONNX graph ({error}); export the bundle again") from None
    opsets = {(entry.domain or "ai.onnx", entry.version) for entry in model.opset_import}
    if opsets != {("ai.onnx", OPSET)}:
        shown = ", ".join(sorted(f"{domain} {version}" for domain, version in opsets))
        raise BundleError(
            f"{file} uses the operators {shown}, but one file is made of ai.onnx {OPSET} alone, which runs "
            "everywhere; export the bundle again, or choose another precision"
        )
    return model


def _expect(model: onnx.ModelProto, interface: GraphInterface) -> None:
    for kind, values, tensors in (
        ("inputs", model.graph.input, interface.inputs),
        ("outputs", model.graph.output, interface.outputs),
    ):
        found = [_described(value) for value in values]
        wanted = [f"{tensor.name} {tensor.dtype} {_shape(tensor.shape)}" for tensor in tensors]
        if found != wanted:
            raise BundleError(
                f"{interface.name} has the {kind} {', '.join(found)}, not {', '.join(wanted)}; "
                "export the bundle again"
            )


def _described(value: onnx.ValueInfoProto) -> str:
    return f"{value.name} {_kind(value)} {_shape(_axes(value))}"


def tensors(values: Iterable[onnx.ValueInfoProto]) -> dict[str, str]:
    """What a graph takes or gives, by name: `uint8 [N, 192, 192]`."""
    return {
        value.name: f"{_kind(value)} [{', '.join(map(str, _axes(value)))}]"
        if _axes(value)
        else f"{_kind(value)}"
        for value in values
    }


def _kind(value: onnx.ValueInfoProto) -> str:
    number = value.type.tensor_type.elem_type
    names = {number: name for name, number in ELEMENT_TYPES.items()}
    return names.get(number, onnx.TensorProto.DataType.Name(number).lower())


def _axes(value: onnx.ValueInfoProto) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


def _shape(axes: Sequence[int | str]) -> str:
    # What a free axis is called doesn't matter.
    return f"[{', '.join(str(axis) if isinstance(axis, int) else '?' for axis in axes)}]"
