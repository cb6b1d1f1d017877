"""What is known of each patient, beside features: what searches of a model with a context start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.contract import PATIENT_TEXT
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.patient_text import PatientText


def text_of_bundle(bundle: Path, manifest: Manifest) -> PatientText | None:
    """How a bundle's model reads what is known of a patient; None where it sees the film alone."""
    return None if manifest.architecture.context is None else PatientText.read(bundle / PATIENT_TEXT)


def starts(
    features: NDArray[np.float32], text: PatientText | None, indications: Sequence[str]
) -> NDArray[np.float32]:
    """Features [N, F] with the numbers of each indication behind them, [N, F + P].

    `text`: None for a model without a context, whose searches start from the features alone.
    """
    if text is None:
        return features
    patients = [text.encode(indication) for indication in indications]
    return np.hstack((features, np.stack(patients))).astype(np.float32, copy=False)
