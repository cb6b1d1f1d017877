"""Measurements of cxrscribe."""
