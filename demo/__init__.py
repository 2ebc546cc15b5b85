"""What can be watched: `make demo-stream`. It starts a broker as the tests do, and so stands beside the service."""
