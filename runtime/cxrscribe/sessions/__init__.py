"""onnxruntime: where graphs run, how they are opened, and what is kept of them. Only this room imports it."""
