"""The files that a run resumes from and that programs load models from.

`checkpoint` is the format, `manager` saves, keeps and sets aside, `finding`
only reads. `state_codec` turns the state of a run into a checkpoint and back,
`resuming` decides what a resumed run takes over, `warm_start` what another
model's weights become, and `rollback` what follows when a run diverges.
"""
