"""Encode a film once, then search for its reports twice, with different settings.

The encoder is most of the work. Whoever tries settings, or decodes again later, keeps the features.

python features_then_reports.py FILM [BUNDLE]
"""

from __future__ import annotations

import sys

import cxrscribe

GREEDY = cxrscribe.BeamSettings(beam_width=1)
FIVE_BEST = cxrscribe.BeamSettings(beam_width=5, n_best=5, length_penalty=0.7)


def show(
    title: str, report: cxrscribe.Report, words: tuple[str, ...], stats: cxrscribe.DecodingStats
) -> None:
    """Print a search's results, best first, and where the best one was least sure."""
    print(f"{title}: {stats.steps} steps, {stats.decode_seconds * 1000:.1f} ms")
    for rank, result in enumerate((report, *report.alternatives), start=1):
        print(f"{rank}. log_prob {result.log_prob:.3f}, score {result.score:.3f}: {result.text}")
    # A finished report has one log-probability more than it has tokens: that of <end>.
    spoken = [words[token] for token in report.tokens] + ["<end>"] * report.finished
    log_prob, word = min(zip(report.token_log_probs, spoken, strict=True))
    print(f"Least sure of {word!r}: {log_prob:.3f}\n")


def main() -> None:
    """Print the greedy report, and the five best of a wider search."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python features_then_reports.py FILM [BUNDLE]")
    film = sys.argv[1]
    try:
        bundle = sys.argv[2] if len(sys.argv) == 3 else cxrscribe.demo_bundle()
        with cxrscribe.load(bundle) as reporter:
            encoding = cxrscribe.DecodingStats()
            features = reporter.encode([film], stats=encoding)  # float32 [1, F]
            print(f"Encoded in {encoding.encode_seconds * 1000:.1f} ms\n")
            for title, settings in (("Greedy", GREEDY), ("Five best", FIVE_BEST)):
                stats = cxrscribe.DecodingStats()
                (report,) = reporter.decode_features(features, settings, stats=stats)
                show(title, report, reporter.vocabulary.words, stats)
            print(reporter.disclaimer)
    except cxrscribe.errors.CxrscribeError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
