"""Fitting a model to a corpus: inputs, networks, loss, schedule, checkpoints."""
