"""What a set of reports is scored by: words, findings, places, diversity, and intervals of all of them."""
