"""Compiles a lowered training step with the TPU compiler; needs no TPU.

    pip install jax==0.10.2 libtpu==0.0.52   # in an environment of its own
    python benchmarks/compile_for_tpu.py step.hlo

The module is what `lower_training_step.py` writes. Printed are the memory
that it wants on one core, and the compiler's own estimates: of the step, and
of what in it takes longest. The module is compiled, never run.
"""

import argparse
import os
from pathlib import Path


def main():
    """Compiles, and prints what the compiler says."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("module", type=Path, help="file of a lowered step")
    parser.add_argument(
        "--topology", default="v5e:2x2", help="TPU to compile for"
    )
    parser.add_argument("--dump", type=Path, help="file for the compiled text")
    options = parser.parse_args()
    executable, kind = compile_module(
        options.module.read_bytes(), options.topology
    )
    memory = executable.get_compiled_memory_stats()
    cost = executable.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    print(f"compiled for {kind} (not run)")
    for name in ("argument", "output", "temp"):
        size = getattr(memory, f"{name}_size_in_bytes")
        print(f"{name:10s} {size / 1e6:10,.1f} MB")
    print(f"products   {cost['flops'] / 1e9:10,.1f} GFLOP")
    print(f"estimate   {cost['optimal_seconds'] * 1e3:10,.3f} ms a step")
    text = executable.hlo_modules()[0].to_string()
    if options.dump:
        options.dump.write_text(text)


def compile_module(module, topology):
    """Returns the executable for one core, and the kind of the core.

    Args:
        module: Bytes of a serialized HLO module.
        topology: Name of a TPU topology.
    """
    # Neither a TPU nor its metadata server is looked for.
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    from jax._src import compiler
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jax.experimental import topologies
    from jax.extend.mlir import ir
    from jaxlib import _jax

    device = topologies.get_topology_desc(
        platform="tpu", topology_name=topology
    ).devices[0]
    stablehlo = xla_client._xla.mlir.hlo_to_stablehlo(module)
    with mlir.make_ir_context():
        executable = compiler.backend_compile_and_load(
            device.client,
            ir.Module.parse(stablehlo),
            _jax.DeviceList((device,)),
            compiler.get_compile_options(num_replicas=1, num_partitions=1),
            [],
        )
    return executable, device.device_kind


if __name__ == "__main__":
    main()
