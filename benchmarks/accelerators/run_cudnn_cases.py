"""Asks cuDNN itself, through PyTorch, whether it computes what it should.

    python -m benchmarks.accelerators.run_cudnn_cases cases.npz

The cases are what write_cudnn_cases.py writes; TensorFlow is not needed. Two
questions a case: does `cudnnGetRNNWeightParams`, which PyTorch asks where a
matrix goes, say what `kerasrnn.recurrence.cudnn.parameters` does; and given
that very vector, are cuDNN's outputs, states and gradients those of our loop?
--device=cpu asks PyTorch's own loops the second. The status is 1 where
anything differs.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import rnn

# PyTorch's number of a kind of loop, which is cuDNN's.
_MODES = {"lstm": 2, "gru": 3}
# PyTorch's gates: i, f, g, o and r, z, g; the kernels' are i, f, g, o and
# z, r, g.
_GATES = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}
# float32, products of which are not rounded to TensorFloat-32, which would be
# 1e-3. cuDNN is at 1e-5 where all rows have one length, at 3e-7 elsewhere.
_TOLERANCE = 1e-4


def main():
    """Prints the largest relative difference of each case."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", type=Path)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if options.device == "cuda":
        print(
            f"{torch.cuda.get_device_name()}, cuDNN "
            f"{torch.backends.cudnn.version()}, PyTorch {torch.__version__}"
        )
    cases = {}
    for key, array in np.load(options.cases).items():
        name, _, key = key.partition("/")
        cases.setdefault(name, {})[key] = array
    agree = True
    for name, case in cases.items():
        kind = name.split("_")[0]
        tensors = {
            key: torch.tensor(array, device=options.device)
            for key, array in case.items()
            if array.dtype == np.float32
        }
        words = []
        if options.device == "cuda":
            same = torch.equal(_cudnns_vector(kind, tensors), tensors["flat"])
            agree &= same
            words.append(f"layout {'agrees' if same else 'DIFFERS'}")
        actual = _run(kind, tensors, case.get("lengths"))
        for key, value in actual.items():
            expected = case[f"expected_{key}"]
            error = np.abs(value.detach().cpu().numpy() - expected).max()
            error /= np.abs(expected).max()
            same = bool(error < _TOLERANCE)  # and not where it is no number
            agree &= same
            words.append(f"{key} {error:.1e}{'' if same else ' DIFFERS'}")
        print(f"{name}: {', '.join(words)}", flush=True)
    print("agrees" if agree else "DIFFERS")
    sys.exit(not agree)


def _cudnns_vector(kind, tensors):
    """The weights where cuDNN says that they belong."""
    weights = []
    for name in (
        "kernel",
        "recurrent_kernel",
        "input_bias",
        "recurrent_bias",
    ):
        blocks = tensors[name].t().chunk(len(_GATES[kind]))
        weights.append(torch.cat([blocks[gate] for gate in _GATES[kind]]))
    features, units = tensors["inputs"].shape[-1], weights[1].shape[-1]
    return torch._cudnn_rnn_flatten_weight(
        weights, 4, features, _MODES[kind], units, 0, 1, False, False
    )


def _run(kind, tensors, lengths):
    """Outputs, final states and gradients; past its length a row's h stays."""
    inputs, states, flat = (
        tensors[key].requires_grad_() for key in ("inputs", "states", "flat")
    )
    steps, batch = inputs.shape[:2]
    if lengths is None:
        outputs, final = _loop(kind, inputs, [], flat, states)
    else:
        packed = rnn.pack_padded_sequence(
            inputs, torch.tensor(lengths), enforce_sorted=False
        )
        outputs, final = _loop(
            kind,
            packed.data,
            packed.batch_sizes,
            flat,
            states[:, packed.sorted_indices],
        )
        outputs, _ = rnn.pad_packed_sequence(
            packed._replace(data=outputs), total_length=steps
        )
        final = final[:, packed.unsorted_indices]
        times = torch.arange(steps, device=inputs.device)[:, None, None]
        ends = torch.tensor(lengths, device=inputs.device)[:, None]
        outputs = torch.where(times < ends, outputs, final[0])
    gradients = torch.autograd.grad(
        [outputs, final],
        [inputs, flat, states],
        [tensors["d_outputs"], tensors["d_final"]],
    )
    names = ("d_inputs", "d_flat", "d_states")
    return {
        "outputs": outputs,
        "final": final,
        **dict(zip(names, gradients, strict=True)),
    }


def _loop(kind, inputs, batch_sizes, flat, states):
    """One call of cuDNN, or of PyTorch's own loop on a CPU.

    Args:
        kind: "lstm" or "gru".
        inputs: [T, B, D], or [N, D] where packed.
        batch_sizes: Empty, or of the packed inputs.
        flat: The vector of weights.
        states: [1 or 2, B, U].

    Returns:
        `(outputs, final states [1 or 2, B, U])`.
    """
    features, units = inputs.shape[-1], states.shape[-1]
    width = units * len(_GATES[kind])
    shapes = [(width, features), (width, units), (width,), (width,)]
    pieces = flat.split([int(np.prod(shape)) for shape in shapes])
    weights = [p.view(s) for p, s in zip(pieces, shapes, strict=True)]
    states = list(states[:, None].contiguous())  # a dimension of layers
    if flat.is_cuda:
        outputs, h, c, *_ = torch._cudnn_rnn(
            inputs,
            weights,
            4,
            flat.detach(),  # the same memory
            *(states if kind == "lstm" else (states[0], None)),
            _MODES[kind],
            units,
            0,  # no projection
            1,  # layer
            False,  # time-major
            0.0,
            True,  # for training
            False,  # one direction
            list(map(int, batch_sizes)),
            None,
        )
        return outputs, torch.cat([h, c] if kind == "lstm" else [h])
    sizes = [batch_sizes] if len(batch_sizes) else []
    layout = [] if sizes else [False]
    outputs, *final = getattr(torch, kind)(
        inputs,
        *sizes,
        states if kind == "lstm" else states[0],
        weights,
        True,
        1,
        0.0,
        True,
        False,
        *layout,
    )
    return outputs, torch.cat(final)


if __name__ == "__main__":
    main()
