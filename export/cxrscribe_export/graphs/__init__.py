"""ONNX graphs: converted from Paddle, folded, fused, built by hand, checked and run."""
