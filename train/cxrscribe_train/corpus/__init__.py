"""Report corpora: where studies come from, how they are tabled and split."""
