"""Collections in other layouts than the Indiana XML: read row by row, and written as one table."""
