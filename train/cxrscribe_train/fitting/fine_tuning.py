"""How fast each part of a backbone learns, and which parts don't.

A backbone that was trained before knows edges and textures in its first layers, and what is particular to its
films in the last ones. So the lower a layer, the less it should change. Howard and Ruder, Universal Language
Model Fine-tuning for Text Classification, ACL 2018 (arXiv:1801.06146), section 3.2.
"""

from __future__ import annotations

from typing import Final

import paddle

from cxrscribe.errors import InputError
from cxrscribe_models import FilmEncoder
from cxrscribe_train.fitting.calibration import batch_norm_layers
from cxrscribe_train.fitting.config import FitConfig

ALL: Final = "all"
_CONTAINERS: Final = (paddle.nn.Sequential, paddle.nn.LayerList)


def fine_tune(encoder: FilmEncoder, fit: FitConfig) -> None:
    """Give each weight of the backbone its share of the learning rate, and hold the frozen parts still.

    Layer number i of n, from 1 at the film, learns at `backbone_rate * layer_decay ** (n - i)`. What is
    frozen keeps its weights and its batch-norm statistics, in training too. Raises InputError for parts that
    the backbone doesn't have.
    """
    network = encoder.backbone.network
    layers = backbone_layers(network)
    for above, names in enumerate(reversed(layers)):
        for name in names:
            for parameter in _part(network, name).parameters():
                share = fit.backbone_rate * fit.layer_decay**above
                parameter.optimize_attr = {**parameter.optimize_attr, "learning_rate": share}
    for part in frozen_parts(network, fit.frozen):
        for parameter in part.parameters():
            parameter.stop_gradient = True
        for norm in batch_norm_layers(part):
            norm._use_global_stats = True


def frozen_parts(network: paddle.nn.Layer, frozen: str) -> list[paddle.nn.Layer]:
    """The parts that `frozen` names with commas between them, or the whole network for `all`.

    Raises InputError for a name that the network doesn't have, with those that it has.
    """
    if frozen == ALL:
        return [network]
    parts = dict(network.named_sublayers())
    found = []
    for name in filter(None, (name.strip() for name in frozen.split(","))):
        if name not in parts or not parts[name].parameters():
            known = ", ".join(child for child, part in network.named_children() if part.parameters())
            raise InputError(
                f"training config: fit.frozen has {name!r}, which is no part of the backbone with weights; "
                f"give {ALL}, or some of {known}, or parts of these such as {_example(network)}"
            )
        found.append(parts[name])
    return found


def backbone_layers(network: paddle.nn.Layer) -> list[list[str]]:
    """Names of a backbone's parts by layer, from the film upwards.

    A layer is a child of the network, or of a child that only strings others together. A batch norm belongs
    to the layer before it.
    """
    names: list[str] = []
    for name, child in network.named_children():
        inner = [f"{name}.{index}" for index, _ in child.named_children()]
        # A class of its own that is made of these, such as a convolution with its norm, is one layer.
        names += inner if type(child) in _CONTAINERS else [name]
    layers: list[list[str]] = []
    for name in names:
        part = _part(network, name)
        if not part.parameters():
            continue
        if layers and part in batch_norm_layers(part):
            layers[-1].append(name)
        else:
            layers.append([name])
    return layers


def _part(network: paddle.nn.Layer, name: str) -> paddle.nn.Layer:
    return dict(network.named_sublayers())[name]


def _example(network: paddle.nn.Layer) -> str:
    return backbone_layers(network)[-1][0]
