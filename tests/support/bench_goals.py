"""Goals of a benchmark run, some missed, and what lower precisions cost in it."""

from __future__ import annotations

from cxrscribe_bench.results.record import Goal, Quality
from cxrscribe_bench.results.samples import Estimate

GOALS = (
    Goal(
        "from films, best precision: reports a second over paddle-dynamic's",
        Estimate(37.6, 36.8, 38.8), 40, at_most=False,
    ),
    Goal(
        "from films, best precision: reports a second over paddle-inference's",
        Estimate(6.0, 5.97, 6.11), 5, at_most=False,
    ),
    Goal(
        "from features, fp32: reports a second over paddle-dynamic's",
        Estimate(105, 104, 109), 60, at_most=False,
    ),
    Goal(
        "from features, fp32: reports a second over openvino-f32's, the best of the rest",
        Estimate(2.05, 2.02, 2.08), 1.3, at_most=False,
    ),
    Goal("from features: best precision over fp32", Estimate(1.88, 1.83, 1.95), 2.5, at_most=False),
    Goal(
        "one film, fp32: time over openvino-f32's, the best peer", Estimate(0.91, 0.9, 0.92), 1, at_most=True
    ),
    Goal(
        "film to text, int8: rate over that of the encoder alone",
        Estimate(0.74, 0.73, 0.76), 0.8, at_most=False,
    ),
)  # fmt: skip
QUALITY = (
    Quality("fp32", 256, 256, 1.0, {}),
    Quality(
        "int8", 256, 207, 0.962,
        {"bleu_4": 0.412, "bleu_4_fp32": 0.414, "label_f1_micro": 0.931, "label_f1_micro_fp32": 0.933},
    ),
    Quality("fp16", 256, 255, 0.9994, {"bleu_4": 0.414, "label_f1_micro": 0.933}),
)  # fmt: skip
