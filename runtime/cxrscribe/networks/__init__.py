"""A bundle's networks on onnxruntime: films to features, and what a search asks of a decoder."""
