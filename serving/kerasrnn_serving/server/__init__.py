"""A gRPC server for one machine."""
