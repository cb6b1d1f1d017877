"""A bundle: what its manifest says of it, and whether its files are what the manifest says."""
