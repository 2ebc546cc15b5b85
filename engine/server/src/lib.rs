//! The data plane around the core: gRPC over mutual TLS 1.3, ONNX Runtime, tables.
