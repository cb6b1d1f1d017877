"""The parts of a run: peers, stages, LoadGen, curves, start-up."""
