"""A bundle as one ONNX graph, from film to words."""
