"""The doors for people: configuration, certificates, training, serving, asking, and the command that joins them."""

import os

# ONNX Runtime's library writes a device id and sends telemetry unless this stands before it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
