"""What a run writes: rows, one a film, in part files, one a shard."""
