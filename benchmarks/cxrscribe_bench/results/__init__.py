"""What a run found: samples, the record of all of them, and what follows from it."""
