"""What an export promises, and how it is spelled on the wire.

Needs neither TensorFlow nor gRPC: exports, servers and clients meet here.
"""
