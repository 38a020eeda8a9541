"""`svc export`: a run as ONNX files, and a program that sings with them without torch."""
