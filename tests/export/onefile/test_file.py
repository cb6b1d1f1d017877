"""What kind of graph the file is, what it says of itself, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import cxrscribe
from cxrscribe import BeamSettings
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.files import sha256_of
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.disclaimer import DISCLAIMER
from cxrscribe.errors import BundleError, SettingsError
from cxrscribe_export.onefile.file import one_file
from support.one_file import OneFile, read_results
from support.small_bundle import SmallBundle, edit_graph

FILMS = np.random.default_rng(0).integers(0, 256, (3, SmallBundle.height, SmallBundle.width), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(fused_bundle: Path) -> onnx.ModelProto:
    return one_file(Bundle.open(fused_bundle))


@pytest.fixture(scope="module")
def file(model: onnx.ModelProto) -> OneFile:
    return OneFile(model)


def subgraphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return [graph, *(each for subgraph in inner for each in subgraphs(subgraph))]


def test_graph_is_valid_and_of_the_standard_operators_at_opset_17(model: onnx.ModelProto) -> None:
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.ir_version >= 4  # from then on, an initializer that is an input is its default
    assert not {node.domain for graph in subgraphs(model.graph) for node in graph.node} - {""}
    assert sum(node.op_type == "Loop" for node in model.graph.node) == 1


def test_inputs_and_outputs(file: OneFile) -> None:
    session = file.session
    assert [(each.name, each.type, each.shape) for each in session.get_inputs()] == [
        ("image", "tensor(uint8)", ["N", 24, 32])
    ]
    assert {(each.name, each.type, tuple(each.shape)) for each in session.get_overridable_initializers()} == {
        ("beam_width", "tensor(int64)", ()),
        ("max_length", "tensor(int64)", ()),
        ("min_length", "tensor(int64)", ()),
        ("length_penalty", "tensor(float)", ()),
    }
    assert [(each.name, each.type, each.shape) for each in session.get_outputs()] == [
        ("tokens", "tensor(int64)", ["N", "beam_width", "max_length"]),
        ("lengths", "tensor(int64)", ["N", "beam_width"]),
        ("scores", "tensor(double)", ["N", "beam_width"]),
        ("finished", "tensor(bool)", ["N", "beam_width"]),
    ]


def test_defaults_are_the_settings_it_was_made_with(fused_bundle: Path) -> None:
    chosen = BeamSettings(beam_width=4, max_length=7, min_length=2, length_penalty=0.7)
    file = OneFile(one_file(Bundle.open(fused_bundle), settings=chosen))
    assert file.run(FILMS)[0].shape == (3, 4, 7)
    assert file.results(FILMS) == file.results(FILMS, chosen)
    own = OneFile(one_file(Bundle.open(fused_bundle)))
    assert own.run(FILMS)[0].shape == (3, 3, 12)


def test_all_optimizations_or_none_give_the_same_words(model: onnx.ModelProto, file: OneFile) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(model.SerializeToString(), options)
    found = plain.run(None, {"image": FILMS})
    wanted = file.run(FILMS)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_allclose(found[2], wanted[2], atol=1e-5)


def test_every_weight_is_stored_once(model: onnx.ModelProto) -> None:
    weights = [
        tensor.raw_data for graph in subgraphs(model.graph) for tensor in graph.initializer if tensor.dims
    ]
    assert len(weights) == len(set(weights))


def test_an_initial_state_and_a_step_share_the_weights_that_they_share() -> None:
    # The demo model has one layer: its step keeps weight_hh, its initial state weight_ih and the projection.
    bundle = Bundle.open(cxrscribe.demo_bundle())
    graphs = sum((bundle.path / f"{name}.onnx").stat().st_size for name in ("encoder", "decoder_init"))
    words, hidden = bundle.manifest.architecture.vocabulary_size, bundle.manifest.architecture.hidden_size
    step = 4 * (4 * words * hidden + 4 * hidden * hidden + hidden * words + words)
    assert one_file(bundle).ByteSize() < graphs + step + 60_000


@pytest.mark.parametrize(
    ("given", "counts_as"),
    [
        ({"beam_width": 0}, {"beam_width": 1}),
        ({"beam_width": -5}, {"beam_width": 1}),
        ({"beam_width": 5000, "max_length": 2}, {"beam_width": 1024, "max_length": 2}),
        ({"max_length": 0}, {"max_length": 1}),
        ({"max_length": 10**6}, {"max_length": 4096}),
        ({"min_length": -3}, {"min_length": 0}),
        ({"min_length": 50, "max_length": 6}, {"min_length": 6, "max_length": 6}),
        ({"length_penalty": 50.0}, {"length_penalty": 10.0}),
        ({"length_penalty": -np.inf}, {"length_penalty": -10.0}),
        ({"length_penalty": np.nan}, {"length_penalty": 0.0}),
        ({"length_penalty": 0.70000004}, {"length_penalty": 0.7}),
    ],
)
def test_a_setting_out_of_range_counts_as_the_nearest_in_it(
    file: OneFile, given: dict[str, float], counts_as: dict[str, float]
) -> None:
    found, wanted = file.run(FILMS, **given), file.run(FILMS, **counts_as)
    read_results(found)
    for own, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(own, other)


def test_divisors_are_those_of_the_runtime_to_the_bit(model: onnx.ModelProto) -> None:
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    (power,) = (node for node in probe.graph.node if node.op_type == "Pow")
    probe.graph.output.add().name = power.output[0]
    file = OneFile(probe)
    nothing = FILMS[:0]
    random = np.random.default_rng(1)
    for penalty in [0.5, 0.7, 1.0, 2.0, 3.0, -1.0, *np.round(random.uniform(-10, 10, 60), 6).tolist()]:
        divisors = file.run(nothing, max_length=4096, length_penalty=penalty)[-1]
        assert divisors.tolist() == [float(length) ** penalty for length in range(1, 4097)]


def test_metadata(fused_bundle: Path, file: OneFile) -> None:
    metadata = file.session.get_modelmeta().custom_metadata_map
    manifest = Manifest.read(fused_bundle)
    assert metadata["schema_version"] == "1"
    assert metadata["precision"] == "fp32"
    assert json.loads(metadata["vocabulary"]) == list(manifest.vocabulary.words)
    assert json.loads(metadata["settings"]) == manifest.settings.to_json()
    assert json.loads(metadata["preprocessing"]) == manifest.preprocessing.to_json()
    assert json.loads(metadata["architecture"]) == manifest.architecture.to_json()
    assert json.loads(metadata["provenance"]) == manifest.provenance.to_json()
    assert metadata["licence"] == manifest.licence
    assert metadata["disclaimer"] == f"{DISCLAIMER} {manifest.disclaimer}"
    assert metadata["producer"].startswith(f"cxrscribe {cxrscribe.__version__}, onnx ")
    assert json.loads(metadata["bundle_sha256"]) == {
        name: sha256_of(fused_bundle / name)
        for name in ("manifest.json", "encoder.onnx", "beam_init.onnx", "beam_step.onnx")
    }


def test_the_same_bundle_gives_the_same_bytes(fused_bundle: Path, model: onnx.ModelProto) -> None:
    again = one_file(Bundle.open(fused_bundle))
    assert again.SerializeToString() == model.SerializeToString()


def test_a_bundle_without_fused_graphs_gives_the_same_results(small_bundle: Path, file: OneFile) -> None:
    assert OneFile(one_file(Bundle.open(small_bundle))).results(FILMS) == file.results(FILMS)


def test_weights_in_a_file_of_their_own_come_along(tmp_path: Path, file: OneFile) -> None:
    bundle = SmallBundle(external_data=True).write(tmp_path / "bundle")
    assert OneFile(one_file(Bundle.open(bundle))).results(FILMS) == file.results(FILMS)


def test_a_precision_is_made_of_its_own_graphs(tmp_path: Path, file: OneFile) -> None:
    bundle = SmallBundle(fused=True).write(tmp_path / "bundle")
    manifest = Manifest.read(bundle)
    (bundle / "half").mkdir()
    for entry in manifest.files:
        (bundle / "half" / entry.path).write_bytes((bundle / entry.path).read_bytes())
    halves = [replace(entry, path=f"half/{entry.path}", precision="half") for entry in manifest.files]
    replace(manifest, files=(*manifest.files, *halves)).write(bundle)

    def silence(encoder: onnx.ModelProto) -> None:
        (convolution,) = (node for node in encoder.graph.node if node.op_type == "Conv")
        for tensor in encoder.graph.initializer:
            if tensor.name == convolution.input[1]:
                values = np.zeros_like(numpy_helper.to_array(tensor))
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    edit_graph(bundle, "half/encoder.onnx", silence)
    half = OneFile(one_file(Bundle.open(bundle), precision="half"))
    assert OneFile(one_file(Bundle.open(bundle))).results(FILMS) == file.results(FILMS)
    assert half.results(FILMS) != file.results(FILMS)
    metadata = half.session.get_modelmeta().custom_metadata_map
    assert metadata["precision"] == "half"
    assert "half/beam_step.onnx" in json.loads(metadata["bundle_sha256"])


def test_a_precision_that_is_not_there_is_refused(fused_bundle: Path) -> None:
    with pytest.raises(BundleError, match="no graphs of precision 'int8'; it has fp32"):
        one_file(Bundle.open(fused_bundle), precision="int8")


def test_a_banned_word_that_is_not_there_is_refused(fused_bundle: Path) -> None:
    with pytest.raises(SettingsError, match="'cardiomegaly'"):
        one_file(Bundle.open(fused_bundle), settings=BeamSettings(banned_words=("cardiomegaly",)))


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    bundle = SmallBundle(fused=True).write(tmp_path / "bundle")
    content = bytearray((bundle / "beam_step.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "beam_step.onnx").write_bytes(content)
    with pytest.raises(BundleError, match="sha256"):
        one_file(Bundle.open(bundle))


def _foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def _other_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 21


def _subgraph(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "g", [], [])))


def _other_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[-2].output[0]


def _other_size(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 99


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_foreign_operator, r"the operator 'com\.example\.Cast'"),
        (_other_opset, r"ai\.onnx 21.*ai\.onnx 17 alone"),
        (_subgraph, "has a Graph within its Attribute"),
        (_other_output, r"the outputs \S+ float32 \[\?, 6\], not features"),
        (_other_size, r"features float32 \[\?, 99\], not features float32 \[\?, 6\]"),
    ],
)
def test_a_graph_of_another_kind_is_refused(
    tmp_path: Path, change: Callable[[onnx.ModelProto], None], problem: str
) -> None:
    bundle = SmallBundle(fused=True).write(tmp_path / "bundle")
    edit_graph(bundle, "encoder.onnx", change)
    with pytest.raises(BundleError, match=problem) as refused:
        one_file(Bundle.open(bundle))
    assert "encoder.onnx" in str(refused.value)


def test_graphs_that_are_not_valid_together_are_refused(tmp_path: Path) -> None:
    def turn(model: onnx.ModelProto) -> None:
        product = next(node for node in model.graph.node if node.input[0] == "features")
        (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == product.input[1])
        weight.dims[:] = [weight.dims[1], weight.dims[0]]

    bundle = SmallBundle(fused=True).write(tmp_path / "bundle")
    edit_graph(bundle, "beam_init.onnx", turn)
    with pytest.raises(BundleError, match="don't fit together"):
        one_file(Bundle.open(bundle))


def test_paddle_is_not_needed(fused_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.onnx"
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('paddle', 'paddle2onnx', 'h5py', 'safetensors')));"
        "from cxrscribe.cli.main import main;"
        f"main(['onefile', {str(fused_bundle)!r}, '--out', {str(out)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert out.is_file()


def test_without_onnx_the_extra_is_named(fused_bundle: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['onnx'] = None;"
        "from cxrscribe.cli.main import main;"
        f"main(['onefile', {str(fused_bundle)!r}, '--out', {str(tmp_path / 'report.onnx')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'cxrscribe[onefile]'" in done.stderr


@pytest.mark.parametrize("decoding", ["sample", "consensus"])
def test_samples_are_refused_by_name(fused_bundle: Path, decoding: str) -> None:
    settings = BeamSettings(decoding=decoding, samples=16)
    with pytest.raises(SettingsError, match=f"decoding is '{decoding}', but one file holds a beam search"):
        one_file(Bundle.open(fused_bundle), settings=settings)
