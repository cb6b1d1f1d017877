"""The command line of export: `export`, `onefile` and `precision`."""
