"""Times a lowered training step with XLA on this machine's accelerator.

    pip install 'jax[cuda12]==0.10.2'   # in an environment of its own
    python benchmarks/run_lowered_step.py step.hlo

The module is what lower_training_step.py writes; TensorFlow is not needed.
It is called on random inputs on JAX's default device, a GPU where there is
one. Without arguments in the way of weights that make sense the loss does
not either; the time does not depend on them.
"""

import argparse
import re
import time
from pathlib import Path

import numpy as np


def main():
    """Compiles the module, calls it, and prints the time of a call."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("module", type=Path, help="file of a lowered step")
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=5)
    options = parser.parse_args()
    import jax

    device = jax.devices()[0]
    call = _compile(options.module.read_bytes(), device)
    seconds = []
    for _ in range(options.warmup + options.calls):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    seconds = np.array(seconds[options.warmup :]) * 1e3
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    print(
        f"{device.device_kind}: {middle:.3f} ms a step (quartiles {low:.3f} "
        f"to {high:.3f}, {options.calls} steps)"
    )


def _compile(module, device):
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
        for array in results.disassemble_into_single_device_arrays():
            array[0].block_until_ready()

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
        return jnp.asarray(random.normal(size=shape) * 0.05, dtype)
    return jnp.asarray(random.integers(0, 64, shape), f"int{number}")


if __name__ == "__main__":
    main()
