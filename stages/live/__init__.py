"""`svc live`: a stream of sound converted in real time."""
