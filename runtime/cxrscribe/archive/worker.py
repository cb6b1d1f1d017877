"""The program that scores shards for a supervisor: `python -m cxrscribe.archive.worker`.

It reads one request, says that it is ready, and then takes numbers of shards from its stdin and gives a
receipt for each, until it is told that there are no more. It ends when its supervisor does.
"""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue

from cxrscribe.archive.child import Parent
from cxrscribe.archive.engine import Engine
from cxrscribe.archive.quarantine import Breaker
from cxrscribe.archive.run import open_run
from cxrscribe.archive.scoring import score_shards
from cxrscribe.errors import CxrscribeError
from cxrscribe.json_object import JsonObject


def main() -> None:
    """Score shards until there are no more."""
    parent = Parent()
    request = parent.request()
    shards: SimpleQueue[int | None] = SimpleQueue()

    def hear(message: JsonObject) -> None:
        shards.put(None if message.is_null("shard") else message.integer("shard"))

    def asked_for() -> Iterator[int]:
        while (shard := shards.get()) is not None:
            yield shard

    parent.listen(hear)
    try:
        engine = Engine.from_json(request.object("engine"))
        run = open_run(request.text("run"))
        with engine.load() as reporter:
            receipts = score_shards(
                run,
                asked_for(),
                reporter,
                generation=request.integer("generation"),
                batch_size=request.integer("batch_size", 1),
                score_duplicates=request.boolean("score_duplicates"),
                breaker=Breaker(request.number("share")),
                engine=engine,
            )
            parent.say({"ready": True})
            for receipt in receipts:
                parent.say({"receipt": receipt.to_json()})
    except CxrscribeError as error:
        parent.say({"error": str(error)})
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
