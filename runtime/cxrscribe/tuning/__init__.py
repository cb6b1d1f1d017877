"""The fastest device and precisions of this machine for one bundle: found by trying them, and kept."""
