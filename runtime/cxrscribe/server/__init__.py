"""Reports over HTTP: what a request may ask for and take, its answer, metrics and log; needs the extra `serve`."""
