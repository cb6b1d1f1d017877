"""What a part says of the structured reports of its shard, in runs that make any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cxrscribe.json_object import JsonObject
from cxrscribe.structured_report.attributes import NotPossible


@dataclass(frozen=True)
class DocumentCounts:
    """What a part says of its shard's structured reports. Each film with a report has one, or a reason."""

    documents: int
    not_possible: Mapping[str, int] = field(default_factory=dict)
    """Films with a report that can have none, for each reason."""
    left_out: int = 0
    """Values of patient and study that weren't valid in films, and are empty in documents."""
    sha256: str = ""
    """Of the tar."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "documents": self.documents,
            "not_possible": dict(self.not_possible),
            "left_out": self.left_out,
            "sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> DocumentCounts:
        """Read what `to_json` gave. Raises the document's error."""
        reasons = fields.object("not_possible")
        return fields.make(
            cls,
            documents=fields.integer("documents"),
            not_possible={str(NotPossible(name)): reasons.integer(name, 1) for name in reasons.names()},
            left_out=fields.integer("left_out"),
            sha256=fields.text("sha256"),
        )
