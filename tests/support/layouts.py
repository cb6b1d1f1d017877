"""Small collections in every layout that is read, with films and words of our own."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

SIDE: Final = 48
STUDIES: Final = 16
TEXTS: Final = (
    "There is a large mass on the left, and the heart is normal.",
    "There is a small nodule on the right. No effusion, consolidation or pneumothorax.",
    "The heart is enlarged.",
    "The lungs are clear, without effusion.",
)
SPANISH: Final = (
    "Sin derrame ni consolidación. Nódulo de 1,5 cm en el lóbulo superior derecho.",
    "Cardiomegalia, sin otros hallazgos.",
)
CHINESE: Final = ("两肺纹理清晰，未见实变、结节。心影不大。", "右肺上叶见1.2cm结节；左侧少量胸腔积液。")


def write_film(path: Path, number: int) -> None:
    """A small film with a square whose place depends on the number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    film = np.random.default_rng(number).integers(0, 40, (SIDE, SIDE), dtype=np.uint8)
    column = 4 + 7 * (number % 4)
    film[10:24, column : column + 14] = 220
    Image.fromarray(film).save(path)


def write_csv(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[object]], *, mark: bool = False
) -> None:
    """A CSV file, gzipped where its name says so, with a mark of byte order if asked."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    content = buffer.getvalue().encode("utf-8-sig" if mark else "utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_own_table(root: Path, texts: Sequence[str] = TEXTS) -> Path:
    """A table of one's own: `table.csv` with a mark of byte order, two studies a patient."""
    rows = []
    for number in range(STUDIES):
        write_film(root / "films" / f"{number}.png", number)
        text = texts[number % len(texts)]
        rows.append((f"E{number}", f"films/{number}.png", f"P{number // 2}", text, "cough", "none", "PA"))
    header = ("study_id", "image_path", "patient_id", "findings", "indication", "comparison", "view")
    write_csv(root / "table.csv", header, rows, mark=True)
    return root / "table.csv"


def write_r2gen(root: Path) -> Path:
    """R2Gen's annotation of the Indiana collection, a key of it padded with a blank."""
    annotation: dict[str, list[Mapping[str, object]]] = {"train": [], "val": [], "test": []}
    for number in range(STUDIES):
        split = ("train", "train", "val", "test")[number % 4 if number < 8 else 0]
        name = f"CXR{number + 1}_IM-{number:04}"
        paths = [f"{name}/{view}.png" for view in range(2)]
        for view, path in enumerate(paths):
            write_film(root / "images" / path, number + view)
        entry = {"id": name, "report ": TEXTS[number % len(TEXTS)], "image_path": paths, "split": split}
        annotation[split].append(entry)
    (root / "annotation.json").write_text(json.dumps(annotation), encoding="utf-8")
    return root


def write_kaggle_iu(root: Path) -> Path:
    """Kaggle's copy of the Indiana collection; the last study has no image."""
    reports, projections = [], []
    for number in range(1, STUDIES + 1):
        text = TEXTS[number % len(TEXTS)]
        reports.append(
            (number, "Mass/left;normal", "Mass", "Xray Chest", "Positive TB test", "None.", text, "Normal.")
        )
        if number == STUDIES:
            break
        for view, projection in ((3001, "Frontal"), (4001, "Lateral")):
            file = f"{number}_IM-{number:04}-{view}.dcm.png"
            write_film(root / "images" / "images_normalized" / file, number)
            projections.append((number, file, projection))
    header = ("uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression")
    write_csv(root / "indiana_reports.csv", header, reports)
    write_csv(root / "indiana_projections.csv", ("uid", "filename", "projection"), projections)
    return root


MIMIC_REPORT: Final = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___-year-old with cough and a longer history that goes
 on here.

 COMPARISON:  ___.

 FINDINGS:

 {findings} The heart is of a size that takes more than one line to
 describe.

 IMPRESSION:

 No acute process.
"""


def write_mimic_cxr(root: Path) -> Path:
    """MIMIC-CXR-JPG with the reports in the same folder."""
    split, metadata = [], []
    for number in range(STUDIES):
        subject, study = 10000032 + number // 2, 50414267 + number
        folder = root / "files" / f"p{str(subject)[:2]}" / f"p{subject}" / f"s{study}"
        name = ("train", "train", "validate", "test")[number // 2 % 4]
        for view in ("AP", "LATERAL")[: 1 + number % 2]:
            image = f"{number:08x}-{view.lower()}"
            write_film(folder / f"{image}.jpg", number)
            split.append((image, study, subject, name))
            metadata.append((image, subject, study, view))
        text = MIMIC_REPORT.format(findings=TEXTS[number % len(TEXTS)])
        folder.with_suffix(".txt").write_text(text, encoding="utf-8")
    write_csv(root / "mimic-cxr-2.0.0-split.csv.gz", ("dicom_id", "study_id", "subject_id", "split"), split)
    header = ("dicom_id", "subject_id", "study_id", "ViewPosition")
    write_csv(root / "mimic-cxr-2.0.0-metadata.csv.gz", header, metadata)
    return root


def write_chexpert_plus(root: Path) -> Path:
    """CheXpert Plus with PNG films, which its table calls JPEG."""
    rows = []
    for number in range(STUDIES):
        split = "valid" if number >= STUDIES - 4 else "train"
        path = f"{split}/patient{number // 2:05}/study{number % 2 + 1}/view1_frontal"
        write_film(root / "PNG" / f"{path}.png", number)
        rows.append(
            (
                number,
                f"{path}.jpg",
                f"{path}.dcm",
                "Frontal",
                "AP",
                f"patient{number // 2:05}",
                "",
                "shortness of breath",
                "None.",
                TEXTS[number % len(TEXTS)],
                "Stable.",
                split,
            )
        )
    header = (
        "",
        "path_to_image",
        "path_to_dcm",
        "frontal_lateral",
        "ap_pa",
        "deid_patient_id",
        "section_clinical_history",
        "section_history",
        "section_comparison",
        "section_findings",
        "section_impression",
        "split",
    )
    write_csv(root / "df_chexpert_plus_240401.csv", header, rows)
    return root


def write_padchest(root: Path) -> Path:
    """PadChest, its films in the folders that its table names."""
    rows = []
    for number in range(STUDIES):
        study = f"2168401113669640{number:04}"
        file, folder = f"{study}_00-{number}.png", number % 3
        write_film(root / str(folder) / file, number)
        labels, method = ("['nodule', 'normal']", "Physician") if number % 2 else ("['copd']", "RNN_model")
        text = SPANISH[number % len(SPANISH)]
        rows.append(
            (number, file, folder, study, f"7383{number // 2}", ("PA", "L")[number % 2], text, method, labels)
        )
    header = (
        "",
        "ImageID",
        "ImageDir",
        "StudyID",
        "PatientID",
        "Projection",
        "Report",
        "MethodLabel",
        "Labels",
    )
    write_csv(root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv", header, rows)
    return root


LAYOUTS: Final[Mapping[str, Callable[[Path], Path]]] = {
    "csv": write_own_table,
    "r2gen": write_r2gen,
    "kaggle-iu": write_kaggle_iu,
    "mimic-cxr": write_mimic_cxr,
    "chexpert-plus": write_chexpert_plus,
    "padchest": write_padchest,
}
"""What writes a collection into an empty folder, and returns the argument of `cxrscribe corpus LAYOUT`."""
