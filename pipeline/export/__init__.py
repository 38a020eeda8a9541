"""A run's networks as ONNX files: modules whose forward can be exported, and how they are written."""
