r"""Times a lowered training step beside PyTorch's, in turns, on a GPU.

    pip install 'jax[cuda13]==0.11.2' torch   # in an environment of its own
    python -m benchmarks.accelerators.lowered_step_beside_torch 2x512.hlo \
        --cell=LSTM --layers=2 --units=512 --batch=128 --length=100

The module is what lower_training_step.py writes, for sizes and a dtype that
the flags repeat for PyTorch. Each side lives in a process of its own and they
take turns; run_lowered_step.py and torch_step.py say what they do.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.accelerators import run_lowered_step
from benchmarks.accelerators import torch_step
from benchmarks.shared.alternation import Worker
from benchmarks.shared.alternation import alternate
from benchmarks.shared.alternation import milliseconds
from benchmarks.shared.alternation import ratio
from benchmarks.shared.alternation import serve_turns
from benchmarks.shared.alternation import this_program


def main():
    """Runs both sides in turns, or one of them as a worker."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("module", type=Path, help="file of a lowered step")
    torch_step.add_arguments(parser)
    parser.add_argument("--rounds", type=int, default=10, help="turns of each")
    parser.add_argument(
        "--worker", choices=list(_SIDES), help="internal: be this side"
    )
    options = parser.parse_args()
    if options.worker:
        serve_turns(_SIDES[options.worker](options))
        return
    workers = {
        # Neither side takes the memory that the other one needs.
        side: Worker(
            [*this_program(), *sys.argv[1:], f"--worker={side}"],
            {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
        )
        for side in _SIDES
    }
    seconds = alternate(workers, options.rounds)
    print(
        f"{options.module.name} beside {options.cell} of PyTorch, "
        f"{options.dtype}, {options.rounds} rounds:"
    )
    for side, taken in seconds.items():
        print(f"  {side:5s} {milliseconds(taken)}")
    print(f"  ours / PyTorch: {ratio(seconds['torch'], seconds['ours'])}")


def _ours(options):
    device = run_lowered_step.first_device()
    return run_lowered_step.compile_step(options.module.read_bytes(), device)


_SIDES = {"ours": _ours, "torch": torch_step.make_step}

if __name__ == "__main__":
    main()
