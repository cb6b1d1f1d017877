"""The measures of one chest, and the outlines of its large parts.

Lengths are whole pixels of the chest's frame (see pose.py); x grows to the patient's left. Findings that
change a shape (a large heart, a raised diaphragm, flat domes, a curved spine) change the measures here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.findings import Finding, FindingKind, Severity, Side
from cxrscribe_train.phantom.drawing.curve import ONE, UNIT, Points, closed_spline, points, sine, spline
from cxrscribe_train.phantom.drawing.noise import Stream

# Width of the chest's inside at parts of its height, both in thousandths: narrow at the apex.
_LEVELS = np.array([0, 40, 100, 200, 350, 550, 750, 920, 1000])
_WIDTHS = np.array([400, 570, 690, 810, 905, 970, 1000, 1000, 985])

# Heart's share of the chest's width in thousandths. The gaps between the steps keep them apart.
_HEART_SHARES = {
    Severity.MILD: (550, 580),
    Severity.MODERATE: (605, 635),
    Severity.SEVERE: (660, 700),
}
_ELEVATIONS = {Severity.MILD: (52, 62), Severity.MODERATE: (74, 86), Severity.SEVERE: (98, 114)}
_CURVES = {Severity.MILD: (28, 32), Severity.MODERATE: (40, 45), Severity.SEVERE: (54, 62)}
_HYPERINFLATION = {Severity.MILD: 0, Severity.MODERATE: 8, Severity.SEVERE: 16}


def side_sign(side: Side) -> int:
    """The direction of the x axis towards a side of the patient."""
    return 1 if side is Side.LEFT else -1


def with_streams(findings: Sequence[Finding], stream: Stream) -> list[tuple[Finding, Stream]]:
    """Each finding with random numbers of its own, which findings of other kinds don't change."""
    seen: Counter[FindingKind] = Counter()
    pairs = []
    for finding in findings:
        pairs.append((finding, stream.fork(f"{finding.kind} {seen[finding.kind]}")))
        seen[finding.kind] += 1
    return pairs


@dataclass(frozen=True)
class Anatomy:
    """Measures of a chest in px of its frame."""

    half_width: int  # of the chest's inside at its widest
    apex: int  # y of the lungs' tops
    base: int  # y of the costophrenic angles where nothing raises them
    domes: tuple[int, int]  # y of the right and the left diaphragm dome
    elevations: tuple[int, int]  # how far a finding raises the right and the left dome
    recess: int  # height of a dome above its costophrenic angle
    heart_right: int  # of the midline
    heart_left: int
    heart_top: int
    knob: int  # how far the aortic knob stands out to the left of the midline
    spine_shift: int  # of the spine at its apex, to the patient's left
    rib_spacing: int  # between neighbours at the spine
    rib_slope: int  # how far a rib falls between the spine and the side
    wall: int  # thickness of the soft tissue outside the ribs
    shoulder: int  # y of the shoulders' tops
    breast: int  # extra tissue before the lower lungs, mm
    air: int  # depth of air in the lungs, mm
    vessels: int  # number of main vessel branches a lung
    bubble: int  # half width of the stomach's air bubble

    @classmethod
    def drawn(cls, stream: Stream, findings: Sequence[Finding]) -> Anatomy:
        """A random chest, shaped by the findings."""
        normal = cls._normal(stream)
        for finding, details in with_streams(findings, stream):
            normal = normal._shaped(finding, details)
        return normal

    @classmethod
    def _normal(cls, stream: Stream) -> Anatomy:
        half_width = stream.between(184, 194)
        right_dome = stream.between(364, 376)
        heart = 2 * half_width * stream.between(405, 460) // 1000
        heart_right = heart * stream.between(29, 33) // 100
        recess = stream.between(44, 54)
        return cls(
            half_width=half_width,
            apex=stream.between(56, 66),
            base=right_dome + recess,
            domes=(right_dome, right_dome + stream.between(8, 14)),
            elevations=(0, 0),
            recess=recess,
            heart_right=heart_right,
            heart_left=heart - heart_right,
            heart_top=stream.between(206, 216),
            knob=stream.between(37, 44),
            spine_shift=stream.between(-2, 2),
            rib_spacing=stream.between(31, 34),
            rib_slope=stream.between(38, 52),
            wall=stream.between(24, 36),
            shoulder=stream.between(70, 84),
            breast=stream.between(0, 14) if stream.chance(1, 2) else 0,
            air=stream.between(140, 152),
            vessels=stream.between(8, 10),
            bubble=stream.between(26, 40),
        )

    def _shaped(self, finding: Finding, stream: Stream) -> Anatomy:
        severity = finding.severity
        if finding.kind is FindingKind.CARDIOMEGALY:
            heart = 2 * self.half_width * stream.between(*_HEART_SHARES[severity]) // 1000
            right = heart * stream.between(28, 31) // 100
            return replace(self, heart_right=right, heart_left=heart - right)
        if finding.kind is FindingKind.EMPHYSEMA:
            return self._hyperinflated(_HYPERINFLATION[severity], stream)
        if finding.kind is FindingKind.ELEVATED_HEMIDIAPHRAGM:
            raised = stream.between(*_ELEVATIONS[severity])
            right, left = self.elevations
            # A left dome has to rise more to stand out, for it lies lower.
            raises = (raised, left) if finding.side is Side.RIGHT else (right, raised + 10)
            return replace(self, elevations=raises)
        if finding.kind is FindingKind.SCOLIOSIS:
            shift = side_sign(finding.side) * stream.between(*_CURVES[severity])
            return replace(self, spine_shift=shift)
        return self

    def _hyperinflated(self, more: int, stream: Stream) -> Anatomy:
        heart = 2 * self.half_width * stream.between(320, 345) // 1000
        enlarged = self.heart_right + self.heart_left > self.half_width  # a large heart stays large
        dome = stream.between(412, 416) + more
        return replace(
            self,
            apex=self.apex - 8,
            base=dome + 14,
            domes=(dome, dome + 4),
            recess=14,
            heart_right=self.heart_right if enlarged else heart * 38 // 100,
            heart_left=self.heart_left if enlarged else heart - heart * 38 // 100,
            rib_spacing=self.rib_spacing + 4,
            rib_slope=self.rib_slope - 18,
            air=self.air + 16 + more // 2,
            vessels=5 - more // 8,
        )

    def dome(self, sign: int) -> int:
        """Y of the dome on one side, in px."""
        index = 0 if sign < 0 else 1
        return self.domes[index] - self.elevations[index]

    def angle(self, sign: int) -> int:
        """Y of the costophrenic angle on one side, in px: it follows a raised dome halfway."""
        index = 0 if sign < 0 else 1
        return self.domes[index] + self.recess - self.elevations[index] // 2

    def edge(self, y: int) -> int:
        """Distance of the chest's inner side from the midline at height y, in px."""
        level = min(max((y - self.apex) * 1000 // (self.base - self.apex), 0), 1000)
        index = min(int(np.searchsorted(_LEVELS, level, side="right")), len(_LEVELS) - 1)
        low, high = int(_LEVELS[index - 1]), int(_LEVELS[index])
        rise = int(_WIDTHS[index] - _WIDTHS[index - 1])
        share = int(_WIDTHS[index - 1]) + (level - low) * rise // (high - low)
        return self.half_width * share // 1000

    def inner(self, sign: int, y: int) -> int:
        """Distance from the midline at which free lung begins at height y, in px, about."""
        widest = self.heart_right if sign < 0 else self.heart_left
        start, end = self.heart_top - 10, max(self.domes) - 50
        share = min(max((y - start) * 100 // (end - start), 0), 100)
        return 46 + max(widest + 4 - 46, 0) * share // 100

    def midline(self, y: NDArray[np.int64]) -> NDArray[np.int64]:
        """X of the spine's middle at heights y, both in 1/256 px: one bow in the chest, a small one below."""
        degrees = (y // UNIT - 40) * 180 // 330
        bow = sine(np.clip(degrees, 0, 180))
        counter = sine(np.clip(degrees - 180, 0, 180)) // 2
        return self.spine_shift * UNIT * (bow - counter) // ONE

    def spine(self) -> Points:
        """Line down the middle of the spine."""
        column = np.arange(-20, 540, 10, dtype=np.int64) * UNIT
        return np.stack([self.midline(column), column], axis=-1)

    def lung(self, sign: int) -> Points:
        """Closed outline of one lung with the space behind heart and mediastinum."""
        angle, dome = self.angle(sign), self.dome(sign)
        width, apex = self.half_width, self.apex
        levels = [
            y for y in (apex + (self.base - apex) * int(f) // 1000 for f in _LEVELS[1:]) if y < angle - 8
        ]
        side = [(self.edge(y), y) for y in levels]
        top = [(10, apex + 80), (width * 20 // 100, apex + 20), (width * 38 // 100, apex)]
        wall = spline(points([*top, *side, (self.edge(angle), angle)]), 6)
        depth = angle - dome
        reach = self.edge(angle)
        floor = spline(
            points(
                [
                    (reach, angle),
                    (reach * 94 // 100, dome + depth * 56 // 100),
                    (reach * 78 // 100, dome + depth * 20 // 100),
                    (reach * 50 // 100, dome),
                    (reach * 28 // 100, dome + depth * 4 // 100),
                    (10, dome + depth * 22 // 100),
                ]
            ),
            6,
        )
        return np.concatenate([wall, floor[1:]]) * np.array([sign, 1])

    def heart(self) -> Points:
        """Closed outline of the heart."""
        right, left, top = self.heart_right, self.heart_left, self.heart_top
        bottom = max(self.domes) + 10
        return closed_spline(
            points(
                [
                    (0, top - 20),
                    (30, top - 12),
                    (left * 50 // 100, top + 18),
                    (left * 74 // 100, bottom - 112),
                    (left * 94 // 100, bottom - 72),
                    (left, bottom - 40),
                    (left * 90 // 100, bottom - 8),
                    (left * 50 // 100, bottom + 6),
                    (-right * 40 // 100, bottom + 4),
                    (-right * 88 // 100, bottom - 24),
                    (-right, bottom - 66),
                    (-right * 90 // 100, bottom - 104),
                    (-right * 60 // 100, top + 16),
                ]
            ),
            5,
        )

    def mediastinum(self) -> Points:
        """Closed outline of the great vessels and what lies around them, with the aortic knob."""
        knob = self.knob
        outline = spline(
            points(
                [
                    (-66, 40),
                    (-54, 72),
                    (-40, 100),
                    (-32, 130),
                    (-29, 170),
                    (-30, 215),
                    (-27, 300),
                    (-24, 440),
                    (24, 440),
                    (28, 300),
                    (38, 225),
                    (37, 200),
                    (34, 186),
                    (knob - 2, 174),
                    (knob + 1, 158),
                    (knob - 3, 142),
                    (32, 128),
                    (38, 102),
                    (52, 72),
                    (64, 40),
                ]
            ),
            4,
        )
        outline[:, 0] += self.midline(outline[:, 1]) // 3
        return outline

    def body(self) -> Points:
        """Closed outlines [1, n, 2] of neck, shoulders and trunk."""
        shoulder, side = self.shoulder, self.half_width + self.wall
        half = spline(
            points(
                [
                    (56, -40),
                    (54, 10),
                    (62, 36),
                    (104, shoulder - 18),
                    (160, shoulder - 4),
                    (214, shoulder + 4),
                    (258, shoulder + 30),
                    (292, shoulder + 84),
                    (290, 150),
                    (256, 182),
                    (side + 12, 214),
                    (side + 2, 250),
                    (side - 2, 330),
                    (side + 4, 430),
                    (side + 6, 560),
                ]
            ),
            4,
        )
        return np.concatenate([half, half[::-1] * np.array([-1, 1])])
