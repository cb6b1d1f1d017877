"""The benchmark model: real sizes, random weights, and report lengths like those of real reports.

ResNet-101 at 224 pixels, E = 256, D = 512, L = 2, 1,000 words by default. What it writes means nothing. Time
depends on lengths, so two of its LSTM units count: the first one's cell starts below 0, the lower the longer
the report shall be, and rises at each word; once it is above 0 the second one makes `<end>` probable. The
start comes from one feature that varies from film to film, so that lengths are log-normal, of median 33 and
mean 36 words, 90 % of them under 57, as those of the FINDINGS of the Indiana University collection.

    cxrscribe bench model FOLDER

makes FOLDER/bundle and FOLDER/features.npz, the mean and the deviation of the features of drawn films.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_pair import INT8
from cxrscribe.errors import InputError
from cxrscribe.sessions.cache_folder import default_folder as cache_folder
from cxrscribe.vocabulary import END

if TYPE_CHECKING:
    from cxrscribe.bundle.architecture import Architecture
    from cxrscribe_export.exporter import TrainedModel
    from cxrscribe_export.label import Label
    from cxrscribe_models import ReportDecoder

MEDIAN_WORDS: Final = 33.0
SPREAD: Final = 0.42
"""Standard deviation of the logarithm of the length."""
_WORDS_PER_CELL: Final = 200.0
"""Words in which the counting cell rises by 1."""
_OPEN: Final = 10.0
"""A gate's input at which it is open (or, negative, closed) but for 5e-5."""
_CANDIDATE: Final = 1.0
"""Input of the counting cell's candidate at a word. As large as other gates' inputs, and so is that of its
input gate, which makes the rise small: a step of 0.005 by itself would be rounded away in int8."""
_AMPLIFIED: Final = 5.0
_END_LOGIT: Final = 300.0
_LOGIT_SPREAD: Final = 4.0
_FILMS: Final = 64
_STATISTICS: Final = "features.npz"
CALIBRATION_FILMS: Final = 16
"""That int8 takes its scales from."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class BenchmarkModel:
    """A folder that `make` has filled."""

    folder: Path

    @property
    def bundle(self) -> Path:
        """The bundle, fp32 and int8, without parity, evaluation and a record of int8's cost."""
        return self.folder / "bundle"

    def features(self, count: int, seed: int = 0) -> Array:
        """Features float32 [count, F]: drawn, each number by itself, as those of films vary."""
        statistics = np.load(self.folder / _STATISTICS)
        drawn = np.random.default_rng(seed).standard_normal((count, len(statistics["mean"])))
        features: Array = (statistics["mean"] + statistics["deviation"] * drawn).astype(np.float32)
        return features


@dataclass(frozen=True)
class ModelSize:
    """What to make."""

    backbone: str = "resnet101"
    side: int = 224
    embedding: int = 256
    hidden: int = 512
    layers: int = 2
    words: int = 1000


def default_folder() -> Path:
    """Where the model is kept: beside the runtime's cache, as that is for what can be made again.

    Raises InputError where there is no such place.
    """
    cache = cache_folder()
    if cache is None:
        raise InputError("there is no folder for caches here; name one for the benchmark model")
    return cache.with_name(f"{cache.name}-bench")


def model_at(folder: Path, size: ModelSize | None = None) -> BenchmarkModel:
    """The model in `folder`, made there if it is not yet.

    Raises InputError where another one is there.
    """
    model, wanted = BenchmarkModel(folder), size or ModelSize()
    if not (folder / _STATISTICS).exists():
        return make(folder, wanted)
    manifest = Manifest.read(model.bundle)
    found = (manifest.architecture.backbone, manifest.preprocessing.height)
    if found != (wanted.backbone, wanted.side):
        raise InputError(
            f"{folder} holds a model of {found[0]} at {found[1]} pixels, not of {wanted.backbone} at "
            f"{wanted.side}; name another folder"
        )
    return model


def make(folder: Path, size: ModelSize) -> BenchmarkModel:
    """Write the model into `folder`. Takes a minute or two, most of it for the backbone."""
    from cxrscribe.bundle.contract import interfaces_of
    from cxrscribe_bench.material.drawn_films import drawn_films
    from cxrscribe_export.bundle_folder import new_bundle_folder
    from cxrscribe_export.exporter import write_bundle
    from cxrscribe_export.graphs.canonical import graphs_of
    from cxrscribe_export.graphs.fused import fused_graphs
    from cxrscribe_export.precision.kinds import KINDS
    from cxrscribe_export.precision.precisions import add_graphs
    from cxrscribe_train.features import encode_batch

    model = _networks(size)
    features = encode_batch(model.encoder, drawn_films(_FILMS, size.side))
    _count_words(model.decoder, model.architecture, features)
    graphs = graphs_of(model.encoder, model.decoder, model.architecture, model.preprocessing)
    fused = fused_graphs(graphs[1], graphs[2], interfaces_of(model.architecture, model.preprocessing))
    folder.mkdir(parents=True, exist_ok=True)
    made = BenchmarkModel(folder)
    with new_bundle_folder(made.bundle) as bundle:
        manifest = write_bundle(model, (*graphs, *fused), _label(), bundle)
        add_graphs(bundle, manifest, KINDS[INT8], drawn_films(CALIBRATION_FILMS, size.side, seed=1))
    np.savez(folder / _STATISTICS, mean=features.mean(axis=0), deviation=features.std(axis=0))
    return made


def _networks(size: ModelSize) -> TrainedModel:
    """Random networks with sane activations: batch-norm statistics come from drawn films."""
    import paddle

    from cxrscribe.bundle.architecture import Architecture
    from cxrscribe.films.preprocess import Preprocessing
    from cxrscribe.vocabulary import SPECIAL_TOKENS, Vocabulary
    from cxrscribe_bench.material.drawn_films import drawn_films
    from cxrscribe_export.exporter import TrainedModel
    from cxrscribe_models import FilmEncoder, ReportDecoder, build_backbone
    from cxrscribe_train.fitting.calibration import calibrate

    paddle.seed(0)
    preprocessing = Preprocessing(size.side, size.side)
    backbone = build_backbone(size.backbone, {}, height=size.side, width=size.side)
    encoder = FilmEncoder(backbone, preprocessing.mean, preprocessing.std)
    films = drawn_films(_FILMS, size.side)
    calibrate(encoder, [paddle.to_tensor(films[start : start + 16]) for start in range(0, _FILMS, 16)])
    encoder.eval()
    architecture = Architecture(
        backbone=size.backbone,
        backbone_options={},
        feature_size=encoder.feature_size,
        embedding_size=size.embedding,
        hidden_size=size.hidden,
        layers=size.layers,
        vocabulary_size=size.words,
    )
    words = (f"word{number}" for number in range(size.words - len(SPECIAL_TOKENS) - 1))
    decoder = ReportDecoder(architecture)
    decoder.eval()
    return TrainedModel(
        architecture, preprocessing, Vocabulary((*SPECIAL_TOKENS, ".", *words)), encoder, decoder
    )


def _count_words(decoder: ReportDecoder, architecture: Architecture, features: Array) -> None:
    """Give the decoder random weights, and its first and last layer a unit each that counts words.

    Unit 0 of the first layer and unit 0 of the last one are they. Entries 0 and 1 of the LSTM's input belong
    to the count: how long the report shall be, in standard deviations, and 0; for a word they are 0 and 1.
    """
    random = np.random.default_rng(0)
    size, last = architecture.hidden_size, architecture.layers - 1
    parameters = _parameters(decoder)
    weights = {name: parameter.numpy() for name, parameter in parameters.items()}
    for name, value in weights.items():
        if "weight" in name and not name.startswith("output"):
            rows = value.shape[1] if name.startswith("lstm") else value.shape[0]
            value[:] = random.standard_normal(value.shape) * (2.0 / np.sqrt(rows))
    weights["embedding.weight"][:] = random.standard_normal(weights["embedding.weight"].shape)
    weights["output.weight"][:] = random.standard_normal(weights["output.weight"].shape)
    weights["output.weight"] *= 2 * _LOGIT_SPREAD / np.sqrt(size)

    varied = int(features.std(axis=0).argmax())
    mean, deviation = features[:, varied].mean(), features[:, varied].std()
    projection, bias = weights["image_projection.weight"], weights["image_projection.bias"]
    projection[:] = random.standard_normal(projection.shape) / (np.sqrt(len(projection)) * features.std())
    projection[:, :2] = 0.0
    projection[varied, 0] = 1.0 / deviation
    bias[:2] = -mean / deviation, 0.0
    weights["embedding.weight"][:, :2] = 0.0, 1.0

    # Rows of the gates of unit 0: input, forget, candidate, output.
    gates = np.arange(4) * size
    for layer in {0, last}:
        for kind in ("weight_ih", "weight_hh"):
            weights[f"lstm.{kind}_l{layer}"][gates] = 0.0
        weights[f"lstm.bias_hh_l{layer}"][gates] = 0.0
    start = np.log(MEDIAN_WORDS / _WORDS_PER_CELL / (1 - MEDIAN_WORDS / _WORDS_PER_CELL))
    # At the image: c = -sigmoid(start + SPREAD * z). At a word: c rises by 1 / _WORDS_PER_CELL.
    rise = 1 / _WORDS_PER_CELL / np.tanh(_CANDIDATE)
    ajar = np.log(rise / (1 - rise))  # where the sigmoid is `rise`
    weights["lstm.bias_ih_l0"][gates] = start, _OPEN, -_OPEN, _OPEN
    weights["lstm.weight_ih_l0"][gates[0], :2] = SPREAD, ajar - start
    weights["lstm.weight_ih_l0"][gates[2], :2] = 0.0, _OPEN + _CANDIDATE
    if last:
        weights[f"lstm.bias_ih_l{last}"][gates] = _OPEN, -_OPEN, 0.0, _OPEN
        weights[f"lstm.weight_ih_l{last}"][gates[2], 0] = _AMPLIFIED
    weights["output.weight"][0] = 0.0
    weights["output.weight"][:, END] = 0.0
    weights["output.weight"][0, END] = _END_LOGIT
    weights["output.bias"][:] = 0.0
    for name, parameter in parameters.items():
        parameter.set_value(weights[name])


def _parameters(decoder: ReportDecoder) -> dict[str, Any]:
    """Each once; in `state_dict` those of the LSTM stand under two names."""
    lstm = {
        f"lstm.{kind}_l{layer}": getattr(decoder.lstm, f"{kind}_l{layer}")
        for layer in range(decoder.layers)
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    others = dict(decoder.named_parameters())
    return lstm | {name: value for name, value in others.items() if not name.startswith("lstm")}


def _label() -> Label:
    from cxrscribe.bundle.evidence import Provenance
    from cxrscribe.settings import BeamSettings
    from cxrscribe_export.label import Label

    return Label(
        settings=BeamSettings(beam_width=5, max_length=162),
        provenance=Provenance("random weights of a benchmark", {}),
        evaluation=None,
        licence="CC0-1.0",
        disclaimer="Words of a benchmark without meaning. Not for diagnostic use.",
    )
