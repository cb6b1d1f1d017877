"""Where a run is kept: a folder, or a prefix in a bucket.

Both make a file once, whole, for one of all who try.
"""
