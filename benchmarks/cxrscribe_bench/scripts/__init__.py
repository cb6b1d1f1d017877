"""Benchmarks of one question each, run as `python -m cxrscribe_bench.scripts.NAME`."""
