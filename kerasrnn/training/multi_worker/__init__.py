"""Several processes that train together.

They meet at the chief's address (`rendezvous`), are connected by TensorFlow
(`process_group`), receive the chief's settings (`chief_settings`), tell one
another of signals (`signal_broadcast`) and notice when one is lost (`health`).
TensorFlow's private calls are in `tensorflow_internals`.
"""
