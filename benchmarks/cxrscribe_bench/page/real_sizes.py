"""What films cost as detectors give them."""

from __future__ import annotations

from cxrscribe_bench.page.markup import Markup, section, table
from cxrscribe_bench.results.real_sizes import costs_table, format_costs
from cxrscribe_bench.results.record import Record


def real_sizes(record: Record) -> Markup:
    """The section; empty where no such film was measured."""
    costs = format_costs(record)
    if not costs:
        return Markup()
    header, rows = costs_table(costs)
    return section(
        "real-sizes",
        "Films of real sizes",
        "Drawn films of 2,500 x 2,048 pixels with noise, by the format of their files, milliseconds a film "
        "by the median. Reading goes from a file in memory to the network's picture, on one thread, a film "
        "after another; side by side on as many as the runtime reads on. What these cores could do: the "
        "core-seconds of reading, encoder and search, each alone, over the cores, if no core ever waited.",
        [table("Large films, by format", header, rows, range(1, len(header)))],
    )
