r"""Times PyTorch's whole training step, with cuDNN's loops on a GPU.

    python -m benchmarks.accelerators.torch_step --units=512 --batch=128 \
        --length=100

The peer of run_lowered_step.py: forward, backward, clip and Adam on nn.LSTM
(or nn.GRU, nn.RNN) and a dense layer, on one-hot characters. Products of
float32 may be rounded to TensorFloat-32, as XLA and TensorFlow do by default
on a GPU that has it; --no-tf32 is the peer of lower_training_step.py's
--notf32.
"""

import argparse

from benchmarks.shared.alternation import milliseconds
from benchmarks.shared.alternation import timed


def main():
    """Prints the time of a step."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    seconds = timed(make_step(options), options.steps)
    name = options.device
    if name == "cuda":
        import torch

        name = torch.cuda.get_device_name()
    print(f"{name}: {milliseconds(seconds)}")


def add_arguments(parser):
    """Adds what says which step to make."""
    parser.add_argument(
        "--cell", default="LSTM", choices=["LSTM", "GRU", "RNN"]
    )
    for name, default in (
        ("layers", 2),
        ("units", 512),
        ("batch", 128),
        ("length", 100),
        ("vocabulary", 65),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument(
        "--dtype", default="float32", choices=["float32", "bfloat16"]
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--tf32", action=argparse.BooleanOptionalAction, default=True
    )


def make_step(options):
    """Returns a function without arguments that makes one step."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    torch.backends.cudnn.allow_tf32 = options.tf32
    shape = (options.batch, options.length)
    inputs, targets = (
        torch.randint(options.vocabulary, shape, device=options.device)
        for _ in range(2)
    )
    recurrent = getattr(torch.nn, options.cell)(
        options.vocabulary, options.units, options.layers, batch_first=True
    ).to(options.device)
    dense = torch.nn.Linear(options.units, options.vocabulary)
    dense = dense.to(options.device)
    parameters = [*recurrent.parameters(), *dense.parameters()]
    optimizer = torch.optim.Adam(parameters, 2e-3)
    narrow = options.dtype == "bfloat16"

    def step():
        optimizer.zero_grad(set_to_none=True)
        one_hot = torch.nn.functional.one_hot(inputs, options.vocabulary)
        with torch.autocast(
            torch.device(options.device).type, torch.bfloat16, enabled=narrow
        ):
            logits = dense(recurrent(one_hot.float())[0])
        loss = torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten()
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        return loss.item()  # ends with the loss on the host

    return step


if __name__ == "__main__":
    main()
