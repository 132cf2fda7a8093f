"""Serves an export over gRPC.

Without --server it uses TensorFlow Serving's tensorflow_model_server if that is
on PATH, else the local server of this package, and says which. It serves until
Ctrl-C, and switches to new versions as they are exported. --server=docker runs
TensorFlow Serving's stock image. Arguments after -- are passed to TensorFlow
Serving. (Neither way of running TensorFlow Serving has been tested; the local
server has.)

    kerasrnn-serve --export_dir=my_export
    kerasrnn-serve --export_dir=my_export --page       # and a page to write on
    kerasrnn-serve --export_dir=my_export -- --enable_batching=true
"""

import os
import shutil
import socket
import sys
from pathlib import Path

from absl import flags

from kerasrnn.command_line import program
from kerasrnn.command_line.flag_types import define_float
from kerasrnn.command_line.flag_types import define_integer
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.errors import UserError
from kerasrnn.foundation import phrases
from kerasrnn.foundation.constraints import POSITIVE_COUNT
from kerasrnn.foundation.constraints import SECONDS
from kerasrnn.foundation.constraints import Range
from kerasrnn_serving.programs.export_directory import check_newest
from kerasrnn_serving.programs.export_directory import checked_export_dir
from kerasrnn_serving.programs.heaps import limit_heaps
from kerasrnn_serving.programs.page_process import start_page
from kerasrnn_serving.server.limits import Batching
from kerasrnn_serving.server.limits import Limits
from kerasrnn_serving.server.listening import address_of
from kerasrnn_serving.server.listening import reached_at

BINARY = "tensorflow_model_server"
# The newest; --help names older ones, in case the registry lacks it.
IMAGE = "tensorflow/serving:2.21.0"
FALLBACK_TAGS = ("2.20.0", "2.19.1")
SERVERS = ("auto", "binary", "docker", "local")
# A call holds a thread until it is answered, also while it waits for a batch,
# and what finds none free is refused. By itself the server has 4 a core.
GRPC_THREADS = 256
_PORTS = Range(0, 2**16 - 1)


def binary_command(
    name: str, export_dir: Path, port: int, rest_port: int, extra: list[str]
) -> list[str]:
    """Returns the command of TensorFlow Serving's own binary."""
    return [
        BINARY,
        f"--port={port}",
        f"--rest_api_port={rest_port}",
        f"--model_name={name}",
        f"--model_base_path={export_dir.resolve()}",
        "--enable_grpc_healthcheck_service=true",
        f"--grpc_max_threads={GRPC_THREADS}",
        *extra,
    ]


def docker_command(
    name: str,
    export_dir: Path,
    host: str,
    port: int,
    rest_port: int,
    image: str,
    extra: list[str],
) -> list[str]:
    """Returns the command of the stock image.

    It runs without root, capabilities or a writable disk, and the binary
    itself is process 1's child: the image's script would swallow SIGTERM.
    """
    published = [f"--publish={address_of(host, port)}:8500"]
    if rest_port:
        published.append(f"--publish={address_of(host, rest_port)}:8501")
    source = export_dir.resolve()
    inside = Path("/models") / name
    server = binary_command(name, inside, 8500, 8501 if rest_port else 0, extra)
    return [
        "docker",
        "run",
        "--rm",
        "--init",
        *published,
        f"--mount=type=bind,source={source},target={inside},readonly",
        f"--user={os.getuid()}:{os.getgid()}",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--entrypoint={server[0]}",
        image,
        *server[1:],
    ]


def chosen_server(server: str) -> str:
    """Returns "binary", "docker" or "local" for the flag's value.

    Raises:
        UserError: The program that is asked for is not on PATH.
    """
    if server == "auto":
        return "binary" if shutil.which(BINARY) else "local"
    program_name = {"binary": BINARY, "docker": "docker"}.get(server)
    if program_name and not shutil.which(program_name):
        raise UserError(
            f"--server={server} needs {program_name}, which is not on PATH. "
            "Install it, or use --server=local."
        )
    return server


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""

    def define(function, *arguments, **options):
        function(*arguments, flag_values=flag_values, **options)

    define(
        define_path,
        "export_dir",
        None,
        "Directory of the exported versions (kerasrnn-export's --export_dir).",
    )
    define(
        flags.DEFINE_string, "model", "kerasrnn", "Model name that clients use."
    )
    define(
        define_integer,
        "port",
        8500,
        "gRPC port; 0 takes a free one and prints it.",
        allowed=_PORTS,
    )
    define(
        define_integer,
        "rest_port",
        0,
        "REST port, which the local server does not have; 0 turns REST off.",
        allowed=_PORTS,
    )
    define(
        flags.DEFINE_string,
        "host",
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 is every network. There is no "
        f"authentication. {BINARY} always listens on every network.",
    )
    define(
        flags.DEFINE_enum,
        "server",
        "auto",
        SERVERS,
        f"binary is {BINARY} on PATH, docker its stock image, local this "
        "package's own server, for one machine; auto is binary, else local.",
    )
    define(
        flags.DEFINE_string,
        "image",
        IMAGE,
        "Image for --server=docker; if the registry does not have it, try "
        f"the tags {' or '.join(FALLBACK_TAGS)}.",
    )
    define(
        flags.DEFINE_list,
        "allow_operations",
        [],
        "TensorFlow operations, separated by commas, that --server=local "
        "allows in a version besides those that kerasrnn-export writes; '*' "
        "allows any. They can read and write files.",
    )
    define(
        flags.DEFINE_bool,
        "page",
        False,
        "Also serve a page to write with the model, and OpenAI's completions "
        "API, on this machine (kerasrnn-gateway).",
    )
    define(
        define_integer,
        "page_port",
        8080,
        "Port of --page; 0 takes a free one and prints it.",
        allowed=_PORTS,
    )
    define_limits(flag_values)


def define_limits(flag_values: flags.FlagValues) -> None:
    """Defines the flags of `Limits`, which the local server alone has."""
    defaults = Limits()
    for name, default, text in (
        ("max_rows", defaults.rows, "rows in a call"),
        ("max_message_bytes", defaults.message_bytes, "bytes in a message"),
        ("max_calls", defaults.calls, "calls that run or wait"),
        (
            "max_batch_size",
            defaults.batching.max_batch_size,
            "rows of waiting calls that are computed together (1: no merging)",
        ),
    ):
        define_integer(
            name,
            default,
            f"Largest number of {text}, with --server=local.",
            flag_values,
            POSITIVE_COUNT,
        )
    define_integer(
        "batch_timeout_micros",
        defaults.batching.batch_timeout_micros,
        "Microseconds for which a batch of --server=local waits for more rows.",
        flag_values,
        Range(0, 10**7),
    )
    define_float(
        "max_seconds",
        defaults.seconds,
        "Seconds that one call may take with --server=local, even if its "
        "client sets no deadline.",
        flag_values,
        SECONDS,
    )


def main(argv: list[str]) -> int:
    """Serves until it is stopped."""
    values = flags.FLAGS
    export_dir = checked_export_dir(values.export_dir)
    server = chosen_server(values.server)
    port = values.port
    if values.page or server != "local":
        port = port or _free_port()
    if values.page:
        # The binary listens on every network, whatever --host says.
        host = "127.0.0.1" if server == "binary" else values.host
        start_page(reached_at(host, port), values.model, values.page_port)
    if server == "local":
        return _serve_locally(values, export_dir, port, argv[1:])
    if server == "binary":
        command = binary_command(
            values.model, export_dir, port, values.rest_port, argv[1:]
        )
        _say(f"{BINARY} from PATH, on every network, port {port}")
    else:
        command = docker_command(
            values.model,
            export_dir,
            values.host,
            port,
            values.rest_port,
            values.image,
            argv[1:],
        )
        _say(f"{values.image} in Docker at {address_of(values.host, port)}")
    print(phrases.command(*command), file=sys.stderr, flush=True)
    os.execvp(command[0], command)


def _serve_locally(values, export_dir, port, extra):
    if extra:
        raise UserError(
            f"The local server takes no further arguments, received {extra}; "
            "they are for TensorFlow Serving."
        )
    if values.rest_port:
        raise UserError(
            "The local server has no REST; leave out --rest_port, or use "
            "--server=binary or --server=docker."
        )
    check_newest(export_dir)
    if values.server == "auto":
        _say(f"the local server, as {BINARY} is not on PATH")
    else:
        _say("the local server")
    limit_heaps()
    from kerasrnn_serving.server import local_server

    return local_server.serve(
        values.model,
        export_dir,
        values.host,
        port,
        Limits(
            values.max_rows,
            values.max_message_bytes,
            values.max_calls,
            values.max_seconds,
            Batching(values.max_batch_size, values.batch_timeout_micros),
        ),
        values.allow_operations,
    )


def _say(what):
    print(f"Serving with {what}.", file=sys.stderr, flush=True)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def run() -> None:
    """Entry point."""
    program.run(main, define_flags, passes_on=True)


if __name__ == "__main__":
    run()
