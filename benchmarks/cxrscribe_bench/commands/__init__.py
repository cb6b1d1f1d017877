"""The command line of `cxrscribe bench`."""
