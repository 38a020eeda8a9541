"""`svc live`: a stream of sound converted while it comes in."""
