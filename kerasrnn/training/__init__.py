"""Trains a model in a working directory: start reading at `run`, then `loop`.

| module or room | what is in it |
|---|---|
| `run` | one run, from what the user asks for to the trained model |
| `settings` | what is trained, and on which text |
| `train_and_evaluate` | the same from Python, with settings of one's own |
| `loop` | steps, and what is due between them |
| `train_state` | what a run carries from step to step, saved and restored |
| `chief_tasks`, `clock` | validation and samples; when they are due by time |
| `run_context` | what stays the same from the start of a run to its end |
| `step/` | one step: batch, loss, gradient, updated weights |
| `evaluation/` | the loss of a held-out text |
| `checkpoints/` | the files that a run resumes from |
| `records/` | what observes the loop: history, TensorBoard, display |
| `multi_worker/` | what only several workers need; else never imported |
"""
