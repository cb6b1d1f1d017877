"""A run's structured reports into a PACS: each once, confirmed, and what was refused listed by row."""
