"""Reports of phantoms in words, and the headings of real reports that findings are drawn from."""
