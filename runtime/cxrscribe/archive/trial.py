"""The program that scores films which may bring it down: `python -m cxrscribe.archive.trial`.

`bisection` starts it. It reads one request, says that it is ready, and then the row of each film as soon as
there is one.
"""

from __future__ import annotations

from cxrscribe.archive.child import Parent
from cxrscribe.archive.rows.row import Row
from cxrscribe.archive.run import run_of
from cxrscribe.archive.stream import Group, RowStream
from cxrscribe.archive.structured_reports import document_json
from cxrscribe.engine import Engine
from cxrscribe.errors import CxrscribeError


def main() -> None:
    """Score the films of one request."""
    parent = Parent()
    request = parent.request()
    parent.listen(lambda _: None)
    try:
        run = run_of(request)
        wanted = frozenset(request.array("rows"))
        films = [
            film for film in run.plan.read_shard(run.place, request.integer("shard")) if film.row in wanted
        ]
        reporter = Engine.from_json(request.object("engine")).load()
        run.check(reporter)
    except CxrscribeError as error:
        parent.say({"error": str(error)})
        return
    parent.say({"ready": True})
    group = Group(request.integer("shard"), films)
    with reporter:
        for _, row in RowStream(run, reporter).rows([group], request.integer("batch_size", 1)):
            if isinstance(row, Row):
                parent.say({"row": row.to_json(), **document_json(group.documents.get(row.row))})
            elif row is not None:
                parent.say({"fault": str(row), "kind": row.kind})


if __name__ == "__main__":
    main()
