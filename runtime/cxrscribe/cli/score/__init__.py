"""`cxrscribe score`: an archive into a run, and what can be done with a run."""
