"""`cxrscribe export`: from a run to a bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cxrscribe.cli.options import BeamChoice, beam_options
from cxrscribe.cli.terminal import say, say_json
from cxrscribe_export.commands.precision_options import PrecisionChoice, precision_lines, precision_options
from cxrscribe_export.commands.progress_lines import ProgressLines

if TYPE_CHECKING:
    from cxrscribe.bundle.manifest import Manifest
    from cxrscribe_export.precision.precisions import PrecisionOrder
    from cxrscribe_train.corpus.table import Corpus
    from cxrscribe_train.feature_file import FeatureFile
    from cxrscribe_train.run import Run

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("run_folder", metavar="RUN", type=_FOLDER)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Bundle folder to write.")
@click.option(
    "--corpus",
    "corpus_folder",
    type=_FOLDER,
    help="Corpus whose test split is held out; default: the one that the run was trained on.",
)
@click.option(
    "--features", "features_file", type=_FILE, help="Features of this encoder, to save encoding time."
)
@click.option(
    "--parity-films",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Held-out films on which whole searches are compared.",
)
@click.option(
    "--distinct-reports",
    type=click.IntRange(min=1),
    help="Different reports that they have to give. [default: a fifth of the films]",
)
@click.option(
    "--tolerance",
    type=float,
    default=1e-4,
    show_default=True,
    help="Largest difference from Paddle of states and log-probabilities.",
)
@click.option(
    "--features-tolerance",
    type=float,
    default=1e-3,
    show_default=True,
    help="Largest difference from Paddle of features.",
)
@beam_options
@precision_options
@click.option(
    "--evaluation",
    "evaluation_file",
    type=_FILE,
    help="The evaluation.json that `cxrscribe evaluate` wrote for this run.",
)
@click.option("--licence", help="Licence of the weights: an SPDX expression, or words.")
@click.option("--disclaimer", help="What reports say of themselves, after the general disclaimer.")
@click.option("--overwrite", is_flag=True, help="Replace the bundle at --out.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def export(
    run_folder: Path,
    out: Path,
    corpus_folder: Path | None,
    features_file: Path | None,
    parity_films: int,
    distinct_reports: int | None,
    tolerance: float,
    features_tolerance: float,
    beam: BeamChoice,
    precision: PrecisionChoice,
    evaluation_file: Path | None,
    licence: str | None,
    disclaimer: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Export a run to a bundle of ONNX graphs, and prove that they do what Paddle does.

    RUN is the folder that `cxrscribe train` wrote. The beam settings given here become the bundle's defaults.
    Out of tolerance, nothing is written, and neither is it where a lower precision loses too much.
    """
    # Paddle's C++ log repeats on stderr what its tracer thinks of every batch norm.
    os.environ.setdefault("GLOG_minloglevel", "2")
    from cxrscribe_export.bundle_folder import check_out
    from cxrscribe_export.graphs.conversion import require_converter

    require_converter()
    check_out(out, overwrite=overwrite)
    from cxrscribe_train.paddle_warnings import ignore_paddle_warnings

    ignore_paddle_warnings()
    from cxrscribe.disclaimer import disclaimer_of
    from cxrscribe_export.exporter import ParityDemands, Progress, TrainedModel, export_bundle
    from cxrscribe_export.label import LICENCE_NOT_STATED, Label, provenance_of, read_evaluation
    from cxrscribe_export.parity.graph_parity import Tolerances
    from cxrscribe_export.parity.held_out import hold_out
    from cxrscribe_train.run import Run

    demands = ParityDemands(Tolerances(features_tolerance, tolerance), distinct_reports)
    precision.check()
    run = Run.open(run_folder)
    corpus = _corpus(run, corpus_folder)
    provenance = provenance_of(run)
    label = Label(
        settings=beam.over(run.settings),
        provenance=provenance,
        evaluation=read_evaluation(evaluation_file, provenance.sha256) if evaluation_file else None,
        licence=licence or LICENCE_NOT_STATED,
        disclaimer=disclaimer_of(disclaimer, drawn=run.corpus.drawn),
    )
    networks = run.encoder(), run.decoder()
    model = TrainedModel(
        run.architecture, run.preprocessing, run.vocabulary, *networks, patient_text=run.patient_text()
    )
    with ProgressLines(parity_films) as lines:
        held_out = hold_out(
            corpus,
            run.training_studies(),
            model.encoder,
            model.preprocessing,
            parity_films,
            _features(run, features_file),
            lines.count("held-out films"),
        )
        order = _order(precision, run, corpus)
        manifest = export_bundle(
            model,
            held_out,
            label,
            demands,
            out,
            order=order,
            overwrite=overwrite,
            progress=Progress(lines.say, lines.count("searches")),
        )
    if as_json:
        say_json(_as_json(manifest, out), indent=2)
    else:
        say(*_as_text(manifest, out).split("\n"))


def _corpus(run: Run, folder: Path | None) -> Corpus:
    """The corpus that films are held out of. Raises InputError when it is gone."""
    from cxrscribe.errors import InputError
    from cxrscribe_train.corpus.table import read_reports

    trained_on = Path(run.corpus.folder)
    if folder is None and not trained_on.is_dir():
        raise InputError(f"{trained_on}, the corpus of {run.path}, is gone; say with --corpus where it is")
    return read_reports(folder or trained_on)


def _order(precision: PrecisionChoice, run: Run, held_out: Corpus) -> PrecisionOrder | None:
    """What precisions are made of: films of the run's own corpus, or of `held_out` where that is gone."""
    from cxrscribe_train.corpus.table import read_reports

    if not precision.names:
        return None
    trained_on = Path(run.corpus.folder)
    return precision.order(
        read_reports(trained_on) if trained_on.is_dir() else held_out,
        held_out,
        run.preprocessing,
        run.training_studies(),
    )


def _features(run: Run, path: Path | None) -> FeatureFile | None:
    """The features file, if one is given. Raises InputError unless the run's encoder made it."""
    from cxrscribe_train.feature_file import FeatureFile

    if path is None:
        return None
    features = FeatureFile.open(path)
    features.check_encoder(run.weights_sha256, run.preprocessing)
    return features


def _as_json(manifest: Manifest, out: Path) -> dict[str, object]:
    record = manifest.to_json()
    left_out = ("schema_version", "producer", "architecture", "vocabulary", "preprocessing")
    return {"bundle": str(out), **{name: record[name] for name in record if name not in left_out}}


def _as_text(manifest: Manifest, out: Path) -> str:
    lines = [f"{out}: {sum(entry.bytes for entry in manifest.files) / 1e6:.1f} MB"]
    lines += [f"  {entry.path}  {entry.bytes} bytes  sha256 {entry.sha256[:12]}" for entry in manifest.files]
    if manifest.parity is not None:
        lines.append(f"Largest differences from {manifest.parity.reference}:")
        largest: dict[str, float] = {}
        for output in manifest.parity.outputs:
            name = f"{output.graph} {output.output}"
            largest[name] = max(output.largest_difference, largest.get(name, 0.0))
        lines += [f"  {name}  {difference:.2e}" for name, difference in largest.items()]
        search = manifest.parity.search
        if search is not None:
            lines.append(
                f"Searches: {search.identical} of {search.searches} identical, {len(search.near_ties)} near "
                f"ties, {search.distinct_reports} distinct reports, log_prob within "
                f"{search.largest_log_prob_difference:.2e}"
            )
    lines += precision_lines(manifest)
    lines.append(manifest.disclaimer)
    return "\n".join(lines)
