"""Times lowered training steps with XLA on this machine's accelerator.

    pip install 'jax[cuda13]==0.11.2'   # in an environment of its own
    python -m benchmarks.accelerators.run_lowered_step step.hlo

A module is what lower_training_step.py writes; TensorFlow is not needed.
Each is called on random inputs on JAX's default device, a GPU where there is
one. What a step updates (weights, Adam's moments) goes into the next one, as
in training. As the first of these are no weights that make sense, the loss
makes none either; the time does not depend on them. Several modules take
turns.
"""

import argparse
import re
import time
from pathlib import Path

import numpy as np

from benchmarks.shared.alternation import milliseconds
from benchmarks.shared.alternation import timed


def main():
    """Compiles the modules, calls them, and prints the time of a call."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "modules", type=Path, nargs="+", help="files of lowered steps"
    )
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    device = first_device()
    calls = {}
    for path in options.modules:
        begin = time.perf_counter()
        calls[path] = compile_step(path.read_bytes(), device)
        seconds = time.perf_counter() - begin
        print(f"{path.name}: compiled in {seconds:.1f} s", flush=True)
    for path, call in list(calls.items()) * options.rounds:
        seconds = timed(call, options.calls, options.warmup)
        print(
            f"{path.name}: {device.device_kind}: {milliseconds(seconds)}",
            flush=True,
        )


def first_device():
    """Returns JAX's device."""
    import jax

    jax.config.update("jax_enable_x64", True)  # a step's number is an int64
    return jax.devices()[0]


def compile_step(module, device):
    """Returns a function without arguments that makes one step.

    Args:
        module: The bytes of a lowered step.
        device: One of JAX's.
    """
    import jax
    from jax._src import compiler
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jax.extend.mlir import ir
    from jaxlib import _jax

    stablehlo = xla_client._xla.mlir.hlo_to_stablehlo(module)
    with mlir.make_ir_context():
        parsed = ir.Module.parse(stablehlo)
        (entry,) = (
            operation
            for operation in parsed.body.operations
            if operation.attributes["sym_name"].value == "main"
        )
        types = [str(kind) for kind in entry.type.inputs]
        updated = {
            alias["alias"]["parameter_number"].value: alias["output_index"][0]
            for alias in parsed.operation.attributes["mhlo.input_output_alias"]
        }
        executable = compiler.backend_compile_and_load(
            device.client,
            parsed,
            _jax.DeviceList((device,)),
            compiler.get_compile_options(num_replicas=1, num_partitions=1),
            [],
        )
    arguments = [jax.device_put(_random(kind), device) for kind in types]

    def call():
        results = executable.execute_sharded(arguments)
        results = results.disassemble_into_single_device_arrays()
        for array in results:
            array[0].block_until_ready()
        # The buffers of what is updated are the results' now.
        for argument, result in updated.items():
            arguments[argument] = results[result][0]

    return call


def _random(kind):
    """Numbers for a type as MLIR writes it, such as tensor<64x512xf32>."""
    import jax.numpy as jnp

    *shape, name = re.fullmatch(r"tensor<(.*)>", kind)[1].split("x")
    shape = [int(size) for size in shape]
    random = np.random.default_rng(0)
    if name == "i1":
        return jnp.asarray(random.integers(0, 2, shape), bool)
    number = int(re.search(r"\d+", name)[0])
    if "f" in name:
        dtype = "bfloat16" if name == "bf16" else f"float{number}"
        # Neither negative, as Adam's second moments may not be, nor so large
        # that gates saturate.
        return jnp.asarray(random.uniform(0, 0.01, shape), dtype)
    return jnp.asarray(random.integers(0, 64, shape), f"int{number}")


if __name__ == "__main__":
    main()
