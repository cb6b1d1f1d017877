"""The version of cxrscribe, written once."""

__version__ = "0.1.0"
