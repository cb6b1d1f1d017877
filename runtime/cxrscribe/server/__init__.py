"""Reports over HTTP: requests and what they may take, answers, metrics, log; needs the extra `serve`."""
