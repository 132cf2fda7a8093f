"""Compiles a lowered training step with the TPU compiler; needs no TPU.

    pip install jax==0.10.2 libtpu==0.0.52   # in an environment of its own
    python -m benchmarks.accelerators.compile_for_tpu step.hlo

The module is what lower_training_step.py writes. It is compiled for one core
of a TPU v5e and never run. Printed are the memory that it wants there, and
the compiler's own estimates: the cycles of the step, and where they go. They
are the sums of the cycles that it notes beside each operation, those of a
loop as often as the loop runs.
"""

import argparse
import collections
import os
import re
from pathlib import Path

# The clock at which 4 units of 128 x 128 multiply-adds make the v5e's 197
# TFLOP/s.
_CYCLES_A_SECOND = 1.5e9


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
    parser.add_argument("--top", type=int, default=12, help="rows to print")
    parser.add_argument("--dump", type=Path, help="file for the compiled text")
    options = parser.parse_args()
    executable, kind = compile_module(
        options.module.read_bytes(), options.topology
    )
    text = executable.hlo_modules()[0].to_string()
    if options.dump:
        options.dump.write_text(text)
    memory = executable.get_compiled_memory_stats()
    print(f"compiled for {kind} (not run)")
    for name in ("argument", "output", "temp"):
        size = getattr(memory, f"{name}_size_in_bytes")
        print(f"{name + 's':12s} {size / 1e6:10,.1f} MB")
    report(text, options.top)


def report(text, top):
    """Prints the estimate of a compiled module's text, and its largest parts.

    Args:
        text: The module, as the compiler prints it.
        top: How many parts.
    """
    parts = estimate(text)
    total = sum(parts.values())
    milliseconds = total / _CYCLES_A_SECOND * 1e3
    print(f"{'estimate':12s} {total:10,} cycles, {milliseconds:.2f} ms")
    print("of these")
    for name, cycles in parts.most_common(top):
        print(f"{cycles:12,} {cycles / total:6.1%}  {name}")


def estimate(text):
    """Returns the cycles of a step by part, a Counter.

    A part is an operation of TensorFlow's, or a loop as a whole.
    """
    computations = {}
    for block in re.split(r"\n(?=\S)", text):
        header = re.match(r"(ENTRY )?%?([\w.\-]+) .*\{\n", block)
        if header:
            name = "entry" if header[1] else header[2]
            computations[name] = block.splitlines()[1:]

    def cycles(name):
        return sum(own for _, own in operations(name))

    def operations(name):
        for line in computations[name]:
            loop = re.search(r"\bwhile\(.*condition=%?([\w.\-]+)", line)
            noted = re.search(r'"estimated_cycles":"(\d+)"', line)
            if loop:
                body = re.search(r"\bbody=%?([\w.\-]+)", line)[1]
                trips = max(
                    int(number)
                    for row in computations[loop[1]]
                    for number in re.findall(r"s32\[\].*constant\((\d+)", row)
                )
                inner = cycles(body)
                label = f"loop, {trips} steps of {inner:,} cycles"
                yield f"{_name(line)} ({label})", trips * inner
            elif noted:
                yield _name(line), int(noted[1])

    parts = collections.Counter()
    for name, own in operations("entry"):
        parts[name] += own
    return parts


def _name(line):
    found = re.search(r'op_name="([^"]*)"', line)
    return found[1] if found else "(the compiler's own)"


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
