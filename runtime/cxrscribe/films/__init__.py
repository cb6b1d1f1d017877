"""From a film, in whatever it comes, to the grey pixels that the network reads."""
