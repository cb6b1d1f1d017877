"""What this machine needs at least: the matrix products alone, and the bytes that have to move."""
