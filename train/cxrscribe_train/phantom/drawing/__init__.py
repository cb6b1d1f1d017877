"""A chest film drawn with known findings: what is in it, and how it comes onto the film."""
