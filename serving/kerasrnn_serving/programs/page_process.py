"""The gateway as a companion of a server on one machine."""

import os
import subprocess
import sys
from importlib.util import find_spec


def start_page(server: str, model: str, port: int) -> None:
    """Starts a gateway that ends with this process.

    It says on standard error where the page is. It ends when its standard
    input does: the other end of that pipe is held by this process, and by
    the program that this one turns into.

    Args:
        server: Its gRPC address on this machine, whether it listens yet or
            not.
        model: The model's name.
        port: Of the page; 0 takes a free one.

    Raises:
        ModuleNotFoundError: What the gateway needs is not installed.
    """
    for package in ("starlette", "uvicorn", "prometheus_client"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(name=package)
    its_end, ours = os.pipe()
    os.set_inheritable(ours, True)
    subprocess.Popen(
        [
            sys.executable,
            "-m",
            "kerasrnn_serving.programs.gateway",
            f"--server={server}",
            f"--model={model}",
            f"--port={port}",
            "--end_with_input",
        ],
        stdin=its_end,
        # Its log, a line a request, is for those who run it by itself.
        stdout=subprocess.DEVNULL,
    )
    os.close(its_end)
