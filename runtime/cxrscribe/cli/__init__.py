"""The command line: `main` finds the commands, each of which is a module here or in a higher package."""
