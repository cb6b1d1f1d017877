"""Exact beam search by the rules of docs/decoding.md, with numpy alone: no network, no onnxruntime."""
