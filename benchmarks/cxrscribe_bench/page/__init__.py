"""The page that `cxrscribe bench` writes: one HTML file that needs no other."""

from cxrscribe_bench.page.page import write_page

__all__ = ["write_page"]
