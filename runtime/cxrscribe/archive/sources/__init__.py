"""What a run reads films from: files, folders, lists, and archives whose members are read in place."""
