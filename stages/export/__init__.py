"""`svc export`: a run as ONNX files, and a program that converts songs with them without torch."""
