"""An HTTP gateway to a served model: a page, and OpenAI's completions API.

A stateless process in front of TensorFlow Serving or of the local server:
texts begin and continue by the state tokens that clients keep, so gateways
scale by replicas. It needs no TensorFlow.
"""
