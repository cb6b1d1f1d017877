"""From a bundle's folder to a reporter that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cxrscribe.arguments import flag, none_or, path, text
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import PATIENT_TEXT
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_pair import FASTEST, PrecisionPair
from cxrscribe.errors import BundleError
from cxrscribe.films.dicom_text import check_attribute
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.rules import FILM_MODALITIES, FilmRules
from cxrscribe.indications import Indications
from cxrscribe.networks.opening import open_networks
from cxrscribe.opened_bundle import OpenedBundle
from cxrscribe.reporter import Reporter
from cxrscribe.sessions.cache import open_cache
from cxrscribe.sessions.cache_folder import default_folder
from cxrscribe.sessions.factory import SessionFactory, thread_count
from cxrscribe.tuning.candidates import Candidate

if TYPE_CHECKING:
    from cxrscribe.patient_text import PatientText
    from cxrscribe.tuning.choice import Choice


def load(
    bundle: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    spinning: bool = True,
    cache: bool | str | os.PathLike[str] = True,
    strict: bool = False,
    verify: bool = True,
    isolation: Isolation | None = None,
    modalities: Iterable[str] = FILM_MODALITIES,
    indication_from_dicom: str | None = None,
) -> Reporter:
    """Open the bundle in the folder `bundle`, ready to write reports.

    `device`: `cpu`, `cuda`, `tensorrt`, `openvino`, or `auto` for the best that works. `precision`: one that
    the bundle has, two of encoder and decoder (`int8+fp32`), None for fp32, or `fastest`: of all that is here
    and is known to keep the words, what a trial on this machine shows to be fastest, which takes up to 15
    seconds once (docs/fastest.md). `threads`: of the CPU, None for as many as this process may use.
    `spinning`: whether they wait for work in a loop, which is quicker and takes the processor. `cache`: where
    graphs are kept as they were optimized for this machine: True for the user's folder, False for nowhere, or
    a folder. `strict`: give every call of the network the same number of rows, for machines where matrix
    products change with it; docs/decoding.md says what that costs. `verify`: check the sha256 of every file
    that is opened. `isolation`: which films are decoded in processes of their own, None for DICOM with
    compressed pixels, and what each may take there. `modalities`: DICOM's codes of what is read as a film;
    none for everything. `indication_from_dicom`: keyword of the text attribute of DICOM that says what is
    known of the patient, such as `ReasonForTheRequestedProcedure`, for models that read it; None reads none.

    Raises BundleError when the bundle is damaged, unsafe or lacks the precision, DeviceError when the device
    that was asked for is not there, or `threads` is not from 1 to 1024, InputError when another argument is
    of the wrong kind, SettingsError when the model reads no indication and one is to be read,
    MissingExtraError when onnxruntime isn't installed.

        with cxrscribe.load("bundle", device="cpu") as reporter:
            print(reporter.report("film.png").text)
    """
    opened = open_bundle(
        bundle,
        device=device,
        precision=precision,
        threads=threads,
        spinning=spinning,
        cache=cache,
        strict=strict,
        verify=verify,
        isolation=isolation,
        modalities=modalities,
        indication_from_dicom=indication_from_dicom,
    )
    return Reporter(opened)


def open_bundle(
    bundle: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    spinning: bool = True,
    cache: bool | str | os.PathLike[str] = True,
    strict: bool = False,
    verify: bool = True,
    isolation: Isolation | None = None,
    modalities: Iterable[str] = FILM_MODALITIES,
    indication_from_dicom: str | None = None,
) -> OpenedBundle:
    """What `load` makes a reporter of, for whoever needs a part of it by itself. Raises as `load` does."""
    bundle = path("bundle", bundle)
    if precision is not None:
        text("precision", precision)
    spinning, strict, verify = flag("spinning", spinning), flag("strict", strict), flag("verify", verify)
    none_or(Isolation, "isolation", isolation)
    rules = FilmRules(modalities=modalities)
    if indication_from_dicom is not None:
        check_attribute(indication_from_dicom)
    found = Bundle.open(bundle, verify=verify)
    graphs = open_cache(cache, default_folder())
    count = thread_count(threads)
    choice: Choice | None = None
    if precision == FASTEST:
        from cxrscribe.tuning.choice import Chooser  # most starts try nothing, and needn't wait for it
        from cxrscribe.tuning.trial import Conditions

        conditions = Conditions(count, spinning=spinning, strict=strict, cache=graphs)
        choice = Chooser(found, device, conditions).choose()
        device, chosen = choice.candidate.device, choice.candidate.precision
    else:
        chosen = PrecisionPair.parse(FP32 if precision is None else precision)
    sessions = SessionFactory(device, count, spinning=spinning, cache=graphs)
    manifest = found.manifest
    patient_text = _patient_text(found)
    if indication_from_dicom is not None:
        Indications(patient_text).check_read(f"indications are to be read from {indication_from_dicom}")
    networks = open_networks(found, sessions, chosen, strict=strict)
    taken = Candidate(sessions.device.name, chosen)
    return OpenedBundle(
        manifest,
        networks.encoder,
        networks.decoder,
        device=sessions.device.name,
        precision=str(chosen),
        engines=(taken.encoder, taken.decoder),
        choice=choice,
        threads=sessions.threads,
        placement=networks.placement,
        strict=strict,
        isolation=isolation if isolation is not None else Isolation(),
        modalities=rules.modalities,
        folder=found.path,
        patient_text=patient_text,
        indication_from_dicom=indication_from_dicom,
    )


def _patient_text(bundle: Bundle) -> PatientText | None:
    """How the model reads what is known of a patient; None where it reads nothing. Raises BundleError."""
    size = bundle.manifest.architecture.patient_size
    if not size:
        return None
    from cxrscribe.patient_text import PatientText  # brings the rules of cleaning, which most don't need

    text = PatientText.read(bundle.file(PATIENT_TEXT))
    if text.size != size:
        raise BundleError(
            f"{bundle.path}: {PATIENT_TEXT} gives {text.size} numbers, but the model takes {size}; "
            "export the bundle again"
        )
    return text
