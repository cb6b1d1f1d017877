"""From a run to a bundle: Paddle networks to ONNX graphs, and the proof that nothing changed."""
