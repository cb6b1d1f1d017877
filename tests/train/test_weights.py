from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
import safetensors.numpy

from cxrscribe.bundle.files import sha256_of
from cxrscribe.embedded import demo_bundle
from cxrscribe.errors import BundleError, InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_models import FilmEncoder
from cxrscribe_train.weights import WeightsSource, build_encoder, load_weights, save_weights, state_arrays

OPTIONS = {"scale": 0.125}


def build(weights: str, backbone: str = "mobilenet_v1") -> FilmEncoder:
    options = OPTIONS if backbone == "mobilenet_v1" else {}
    return build_encoder(backbone, options, Preprocessing(32, 32), WeightsSource.parse(weights))


def same(first: FilmEncoder, second: FilmEncoder) -> bool:
    ours, theirs = state_arrays(first), state_arrays(second)
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_seed_gives_the_same_weights_and_another_one_others() -> None:
    assert same(build("random:5"), build("random:5"))
    assert not same(build("random:5"), build("random:6"))


def test_the_backbone_is_tried_at_the_size_of_the_preprocessing() -> None:
    assert build_encoder("alexnet", {}, Preprocessing(64, 64)).feature_size == 256
    with pytest.raises(InputError, match="224 x 224"):
        build_encoder("alexnet", {}, Preprocessing(224, 224))


def test_safetensors_come_back_with_the_sha256_that_was_told(tmp_path: Path) -> None:
    encoder, path = build("random:1"), tmp_path / "encoder.safetensors"
    assert save_weights(encoder.backbone, path) == sha256_of(path)
    again = build(str(path))
    assert same(encoder, again)
    assert save_weights(again.backbone, tmp_path / "copy.safetensors") == sha256_of(path)


def test_the_sha256_of_a_missing_file_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.safetensors can't be read"):
        sha256_of(tmp_path / "gone.safetensors")


def test_a_paddle_state_file_of_the_whole_network_fits(tmp_path: Path) -> None:
    paddle.seed(3)
    whole = paddle.vision.models.mobilenet_v1(scale=0.125, num_classes=10)  # with a classifier
    paddle.save(whole.state_dict(), str(tmp_path / "whole.pdparams"))
    encoder = build(str(tmp_path / "whole.pdparams"))
    name = "conv1.0.weight"
    assert np.array_equal(state_arrays(encoder)[f"backbone.network.{name}"], whole.state_dict()[name].numpy())


def test_a_file_of_a_deeper_network_is_refused_by_the_weight_that_is_left(tmp_path: Path) -> None:
    path = tmp_path / "deeper.safetensors"
    save_weights(build("random:0", "resnet34").backbone, path)
    wanted = r"layer\d\.\d\.\w+\.\w+' of shape \[.*no place.*--backbone"
    with pytest.raises(InputError, match=wanted):
        build(str(path), "resnet18")
    shallow = tmp_path / "shallow.safetensors"
    save_weights(build("random:0", "resnet18").backbone, shallow)
    with pytest.raises(InputError, match=r"no weight 'network\.layer\d.*wants in shape \[.*--backbone"):
        build(str(shallow), "resnet34")


def test_weights_of_half_precision_are_taken(tmp_path: Path) -> None:
    encoder, path = build("random:1"), tmp_path / "half.safetensors"
    halves = {name: value.astype(np.float16) for name, value in state_arrays(encoder.backbone).items()}
    safetensors.numpy.save_file(halves, path)
    found = state_arrays(build(str(path)).backbone)
    assert all(np.array_equal(found[name], half.astype(np.float32)) for name, half in halves.items())


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_weights(build("random:0").backbone, path)
    with pytest.raises(InputError, match=r"has no weight .* wants in shape"):
        build(str(path), backbone="resnet18")


def test_weights_of_another_width_are_refused_by_shape(tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    wide = build_encoder("mobilenet_v1", {"scale": 0.25}, Preprocessing(32, 32))
    save_weights(wide.backbone, path)
    with pytest.raises(InputError, match=r"weight .* has shape \[.* wants \[.*--backbone"):
        build(str(path))


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pdparams", "broken.pth", "broken.pt"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no weights at all")
    with pytest.raises(InputError, match=r"broken"):
        load_weights(build("random:0").backbone, path)


@pytest.mark.parametrize("text", ["random:x", "random:", "random", "missing.pdparams"])
def test_an_unclear_source_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"random:SEED"):
        WeightsSource.parse(text)


def test_the_identity_follows_the_content(tmp_path: Path) -> None:
    path = tmp_path / "weights.pdparams"
    path.write_bytes(b"a")
    first = WeightsSource.parse(str(path)).identity
    path.write_bytes(b"b")
    assert WeightsSource.parse(str(path)).identity != first
    assert WeightsSource.parse("random:7").identity == "random:7"


def test_a_graph_without_a_backbone_and_a_file_that_is_no_graph_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"beam_step\.onnx can't be read as weights: it has no weights of a"):
        load_weights(build("random:0").backbone, demo_bundle() / "beam_step.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no weights at all")
    with pytest.raises(InputError, match=r"broken\.onnx can't be read as weights: it is no ONNX model"):
        load_weights(build("random:0").backbone, tmp_path / "broken.onnx")


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        WeightsSource.parse(str(tmp_path))


def test_a_bundle_of_another_width_is_refused_by_shape() -> None:
    with pytest.raises(InputError, match=r"encoder\.onnx: weight .* has shape \[.* wants \[.*--backbone"):
        build(str(demo_bundle()))
