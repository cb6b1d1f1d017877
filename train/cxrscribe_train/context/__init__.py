"""What is known before a report's first word: the patient's text as numbers, and tags of the film."""
