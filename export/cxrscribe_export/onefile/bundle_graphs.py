"""The graphs of a bundle that become one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class BundleGraphs:
    """What a report is computed with, from film to candidates."""

    encoder: onnx.ModelProto
    initial_state: onnx.ModelProto
    """The graph of `contract.beam_init_interface`."""
    step: onnx.ModelProto
    """The graph of `contract.beam_step_interface`."""
    sha256: Mapping[str, str]
    """Checksums of the files that were read, the manifest too, by their paths in the bundle."""

    @classmethod
    def read(cls, bundle: Bundle, precision: str = FP32) -> BundleGraphs:
        """Read the graphs at `precision`. Where the bundle has no fused ones, they are made of the others.

        Raises BundleError where the bundle lacks a graph, a file is damaged, or a graph isn't one that
        `cxrscribe export` writes.
        """
        source = _Source(bundle, precision)
        return cls(
            source.read(ENCODER),
            source.read(BEAM_INIT)
            if source.has(BEAM_INIT)
            else fuse_initial_state(source.read(DECODER_INIT)),
            source.read(BEAM_STEP) if source.has(BEAM_STEP) else fuse(source.read(DECODER_STEP)),
            source.sha256,
        )


class _Source:
    def __init__(self, bundle: Bundle, precision: str) -> None:
        manifest = bundle.manifest
        self._bundle = bundle
        self._precision = precision
        self._interfaces = interfaces_of(manifest.architecture, manifest.preprocessing)
        self.sha256 = {MANIFEST_NAME: sha256_of(bundle.path / MANIFEST_NAME)}

    def has(self, name: str) -> bool:
        return self._bundle.has_graph(self._interfaces[name].name, self._precision)

    def read(self, name: str) -> onnx.ModelProto:
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
    tensor = value.type.tensor_type
    names = {number: name for name, number in ELEMENT_TYPES.items()}
    kind = names.get(tensor.elem_type, f"of type {tensor.elem_type}")
    return f"{value.name} {kind} {_shape([axis.dim_param or axis.dim_value for axis in tensor.shape.dim])}"


def _shape(axes: Sequence[int | str]) -> str:
    # What a free axis is called doesn't matter.
    return f"[{', '.join(str(axis) if isinstance(axis, int) else '?' for axis in axes)}]"
