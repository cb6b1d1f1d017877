from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_models import build_backbone
from cxrscribe_train.fitting.config import Override, build_config
from cxrscribe_train.fitting.fine_tuning import backbone_layers, frozen_parts
from cxrscribe_train.run import Run
from cxrscribe_train.training import train
from cxrscribe_train.weights import build_encoder, save_weights, state_arrays
from support.square_corpus import tiny_config

SIDE = 32


def network_of(name: str, **options: Any) -> paddle.nn.Layer:
    return build_backbone(name, options, height=SIDE, width=SIDE).network


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [
        ("resnet18", ["conv1", "bn1"], ["layer4.1"], 9),
        ("resnet101", ["conv1", "bn1"], ["layer4.2"], 34),
        ("mobilenet_v1", ["conv1"], ["conv6"], 14),
        ("mobilenet_v2", ["features.0"], ["features.18"], 19),
        ("densenet121", ["conv1_func"], ["db_conv_5", "batch_norm"], 8),
    ],
)
def test_a_backbone_has_layers_from_the_film_upwards(
    name: str, first: list[str], last: list[str], count: int
) -> None:
    network = network_of(name)
    layers = backbone_layers(network)
    assert (layers[0], layers[-1], len(layers)) == (first, last, count)
    parts = dict(network.named_sublayers())
    held = [parameter.name for names in layers for part in names for parameter in parts[part].parameters()]
    assert sorted(held) == sorted(parameter.name for parameter in network.parameters())


@pytest.mark.parametrize("frozen", ["layer9", "conv1, layer9", "relu", "layer1.0.relu"])
def test_a_part_that_is_not_there_is_named_with_those_that_are(frozen: str) -> None:
    wanted = r"fit\.frozen has '[\w.]+', .*give all, or some of conv1, bn1, layer1, .* such as layer4\.1"
    with pytest.raises(InputError, match=wanted):
        frozen_parts(network_of("resnet18"), frozen)


def start(folder: Path) -> Path:
    """Weights to begin from, with batch-norm statistics that aren't those of these films."""
    paddle.seed(5)
    encoder = build_encoder("mobilenet_v1", {"scale": 0.125}, Preprocessing(SIDE, SIDE))
    save_weights(encoder.backbone, folder / "start.safetensors")
    return folder / "start.safetensors"


def changes(folder: Path, corpus: Path, *settings: tuple[str, str, Any]) -> dict[str, float]:
    """How far each weight of the backbone is from where it began, after two epochs."""
    weights = start(folder)
    calm = (("fit", "weight_decay", 0.0), ("fit", "warmup_steps", 0), ("fit", "epochs", 2))
    train(corpus, folder / "run", tiny_config(("fit", "weights", str(weights)), *calm, *settings))
    trained = state_arrays(Run.open(folder / "run").encoder().backbone.network)
    paddle.seed(5)
    began = state_arrays(network_of("mobilenet_v1", scale=0.125))
    return {name: float(np.abs(trained[name] - began[name]).max()) for name in began}


def test_what_is_frozen_keeps_weights_and_statistics(squares: Path, tmp_path: Path) -> None:
    moved = changes(tmp_path, squares, ("fit", "frozen", "conv1, conv2_1"))
    frozen = [name for name in moved if name.startswith(("conv1.", "conv2_1."))]
    assert any("_variance" in name for name in frozen)
    assert {moved[name] for name in frozen} == {0.0}
    assert min(moved[name] for name in moved if name not in frozen and name.endswith("weight")) > 0.0
    assert moved["conv6._depthwise_conv.1._variance"] > 0.0


def test_a_whole_backbone_can_be_frozen(squares: Path, tmp_path: Path) -> None:
    assert set(changes(tmp_path, squares, ("fit", "frozen", "all")).values()) == {0.0}


def test_lower_layers_learn_more_slowly(squares: Path, tmp_path: Path) -> None:
    slow = changes(tmp_path, squares, ("fit", "layer_decay", 0.5), ("fit", "backbone_rate", 0.1))
    # AdamW moves a weight by about its learning rate a step, whatever the gradient: 4 steps of up to 1e-4.
    assert 0.0 < slow["conv6._pointwise_conv.0.weight"] < 8e-4
    assert 0.0 < slow["conv1.0.weight"] < slow["conv6._pointwise_conv.0.weight"] / 100


def test_a_resumed_fine_tuning_equals_a_straight_one(squares: Path, tmp_path: Path) -> None:
    settings = (("fit", "frozen", "conv1"), ("fit", "layer_decay", 0.7), ("fit", "epochs", 3))
    config = tiny_config(("fit", "weights", str(start(tmp_path))), *settings)
    train(squares, tmp_path / "straight", config)
    calls = iter(range(1000))
    stopped = train(squares, tmp_path / "resumed", config, stop=lambda: next(calls) >= 12 + 2)
    assert not stopped.finished
    train(squares, tmp_path / "resumed", config, resume=True)
    for name in ("encoder.safetensors", "decoder.safetensors"):
        assert (tmp_path / "straight" / name).read_bytes() == (tmp_path / "resumed" / name).read_bytes()


def test_frozen_parts_are_looked_for_before_films_are_read(squares: Path, tmp_path: Path) -> None:
    config = tiny_config(("fit", "weights", str(start(tmp_path))), ("fit", "frozen", "layer1"))
    with pytest.raises(InputError, match=r"fit\.frozen has 'layer1'"):
        train(squares, tmp_path / "run", config)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("frozen", "all", "begin at random: give weights or init"),
        ("layer_decay", 1.1, "up to 1"),
        ("layer_decay", 0.0, "above 0"),
        ("backbone_rate", 0.0, "above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(InputError, match=wanted):
        build_config([Override("fit", name, value)], end_to_end=True)
