"""One training step, without files: batch, loss, gradient, updated weights.

`trainer` makes steps, `gradients` differentiates the loss, `optimizer` updates
the weights, and `devices` cuts the batch for the replicas. `schedule` says how
many steps there are and what is due between them.
"""
