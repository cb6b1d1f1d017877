"""What tests of several packages build on: a reference search, small models, small bundles."""
