"""What a phantom study is made of: its report, and what is to be drawn, each decided by a seed alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.study import Study
from cxrscribe_train.findings import Finding
from cxrscribe_train.phantom.sampling import sample_findings
from cxrscribe_train.phantom.stream import IntegerStream, named_seed
from cxrscribe_train.phantom.wording.indications import write_indication
from cxrscribe_train.phantom.wording.mesh import NORMAL_HEADING, findings_from_mesh, mesh_of
from cxrscribe_train.phantom.wording.report import (
    style_of,
    write_comparison,
    write_findings,
    write_impression,
)

_PHANTOM_IMAGE: Final = re.compile(r"PH\d+N\d+_PA\d*|.+_PHANTOM\d*")
MOST_VIEWS: Final = 9


def is_phantom(image_id: str) -> bool:
    """Whether an image id is one that this module gives to drawn films, and no real film has."""
    return _PHANTOM_IMAGE.fullmatch(image_id) is not None


@dataclass(frozen=True)
class Recipe:
    """One study and its films, of which each shows all findings.

    `drawing_seed` decides pose, exposure and noise of the first film, and with a film's number those of the
    others. `report_file` is the name of the XML file. `undrawn` holds the headings of a real study that have
    no drawing.
    """

    study: Study
    findings: tuple[Finding, ...]
    drawing_seed: int
    report_file: str
    undrawn: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.study.image_ids:
            raise InputError(f"study {self.study.study_id!r} of a phantom must have an image")

    @property
    def image_id(self) -> str:
        """The first film's id."""
        return self.study.image_ids[0]

    @property
    def drawings(self) -> tuple[tuple[str, int], ...]:
        """The id of each film, and the seed of its drawing."""
        first, *others = self.study.image_ids
        seeds = (named_seed("view", self.drawing_seed, view) for view in range(2, len(others) + 2))
        return ((first, self.drawing_seed), *zip(others, seeds, strict=True))


def sampled_recipe(seed: int, index: int, views: int = 1) -> Recipe:
    """Study `index` (from 1) of the phantoms of `seed`; it doesn't depend on how many there are.

    `views`: its films. The first one doesn't depend on how many follow.
    """
    findings = sample_findings(IntegerStream.named("phantom", seed, index, "findings"))
    words = IntegerStream.named("phantom", seed, index, "words")
    told = IntegerStream.named("phantom", seed, index, "indication")
    style = style_of(IntegerStream.named("phantom", seed, index, "words"))
    study_id = f"PH{seed}N{index}"
    text, impression = write_findings(findings, words), write_impression(findings, words)
    words.next()  # the choice of an indication, before these had a stream of their own
    study = Study(
        study_id=study_id,
        image_ids=_image_ids(f"{study_id}_PA", views),
        findings=text,
        impression=impression,
        indication=write_indication(findings, style, told),
        comparison=write_comparison(words),
        mesh=tuple(mesh_of(finding) for finding in findings) or (NORMAL_HEADING,),
    )
    return Recipe(study, findings, named_seed("phantom", seed, index, "drawing"), f"{index}.xml")


def mesh_recipe(seed: int, original: Study, report_file: str, views: int = 1) -> Recipe:
    """Films drawn after the headings of a real study, under its id and with its text.

    The image id says `PHANTOM`, so that no one takes the film for a real one. No two studies of a corpus may
    have the same `report_file`.
    """
    name = original.study_id
    drawing = findings_from_mesh(original.mesh, IntegerStream.named("mesh", seed, name, "findings"))
    study = Study(
        study_id=name,
        image_ids=_image_ids(f"{name}_PHANTOM", views),
        findings=original.findings,
        impression=original.impression,
        indication=original.indication,
        comparison=original.comparison,
        mesh=original.mesh,
    )
    drawing_seed = named_seed("mesh", seed, name, "drawing")
    return Recipe(study, drawing.findings, drawing_seed, report_file, drawing.undrawn)


def _image_ids(first: str, views: int) -> tuple[str, ...]:
    if not 1 <= views <= MOST_VIEWS:
        raise InputError(f"a phantom study of {views} films: give 1 to {MOST_VIEWS} views")
    return (first, *(f"{first}{view}" for view in range(2, views + 1)))
