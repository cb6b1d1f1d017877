"""Graphs at lower precision: how they are made, and what they cost and gain."""
