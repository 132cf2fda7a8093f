"""The flags that say which server to ask, and how, the same for all programs.

They are defined in programs, which know whether a server has a default.
"""

import logging
import os
from typing import TYPE_CHECKING
from typing import Any

from absl import flags

from kerasrnn.command_line.flag_types import define_float
from kerasrnn.command_line.flag_types import define_integer
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.command_line.sampling_flags import read_file
from kerasrnn.errors import UserError
from kerasrnn.foundation.constraints import INT64
from kerasrnn.foundation.constraints import POSITIVE_COUNT
from kerasrnn.foundation.constraints import SECONDS
from kerasrnn.foundation.constraints import Range

if TYPE_CHECKING:  # It needs gRPC, which --help does without.
    from kerasrnn_serving.client import AsyncClient
    from kerasrnn_serving.client import Client

_TLS_FILES = ("ca", "certificate", "key")


def define_connection_flags(
    flag_values: flags.FlagValues, server: str | None
) -> None:
    """Defines the flags that `client_of` reads.

    Args:
        flag_values: Where to define them.
        server: The address that is asked where none is given; may be None.
    """

    def define(function, *arguments, **options):
        function(*arguments, flag_values=flag_values, **options)

    define(
        flags.DEFINE_string,
        "server",
        server,
        "Address of the server's gRPC port, host:port; or dns:///name:port, "
        "which uses all addresses of a name in turn.",
    )
    define(
        flags.DEFINE_string,
        "model",
        "kerasrnn",
        "The model's name on the server.",
    )
    define(
        define_integer,
        "model_version",
        None,
        "Version to use; by default the newest.",
        allowed=Range(0, INT64.high),
    )
    define(
        define_float,
        "timeout",
        60.0,
        "Seconds that the server may take for each call.",
        allowed=SECONDS,
    )
    define(
        flags.DEFINE_bool,
        "tls",
        False,
        "Encrypt the connection; any of the --tls_ flags below implies this.",
    )
    define(
        define_path,
        "tls_ca",
        None,
        "PEM file with the certificates that signed the server's.",
    )
    define(
        define_path,
        "tls_certificate",
        None,
        "PEM file with this client's certificate, for mutual TLS.",
    )
    define(define_path, "tls_key", None, "PEM file with its private key.")
    define(
        flags.DEFINE_string,
        "tls_server_name",
        None,
        "Name in the server's certificate, if it is not the address.",
    )
    define(
        define_integer,
        "max_message_bytes",
        None,
        "Refuse larger replies; by default there is no limit.",
        allowed=POSITIVE_COUNT,
    )
    define(
        define_path,
        "token_file",
        None,
        "File with a bearer token to send with each call; needs TLS.",
    )


def client_of(values: flags.FlagValues) -> "Client":
    """Returns a client, as the flags say.

    Raises:
        UserError: A file cannot be read, or the flags do not fit together.
    """
    _quiet_grpc()
    from kerasrnn_serving.client import Client

    return Client(**_arguments(values))


def async_client_of(values: flags.FlagValues) -> "AsyncClient":
    """Returns a client for an event loop, as the flags say.

    Raises:
        UserError: A file cannot be read, or the flags do not fit together.
    """
    _quiet_grpc()
    from kerasrnn_serving.client import AsyncClient

    return AsyncClient(**_arguments(values))


def _quiet_grpc() -> None:
    """Silences what gRPC notes of a server that restarts.

    Call it before gRPC is imported, which reads the variable then.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _arguments(values: flags.FlagValues) -> dict[str, Any]:
    """Returns a client's arguments."""
    _print_notes()
    from kerasrnn_serving.client import Tls

    files = {name: getattr(values, f"tls_{name}") for name in _TLS_FILES}
    for name, path in files.items():
        if path:
            # Read again below, where no flag is known that could be named.
            read_file(path, f"--tls_{name}")
    tls = None
    if values.tls or values.tls_server_name or any(files.values()):
        tls = Tls(**files, server_name=values.tls_server_name)
    token = None
    if values.token_file is not None:
        token = read_file(values.token_file, "--token_file").strip()
        if tls is None:
            raise UserError(
                "--token_file is given without TLS, and anyone could read the "
                "token on its way; give --tls as well."
            )
        token = _checked_token(token, values.token_file)
    return {
        "target": values.server,
        "model": values.model,
        "version": values.model_version,
        "timeout": values.timeout,
        "tls": tls,
        "token": token,
        "max_message_bytes": values.max_message_bytes,
    }


def _print_notes():
    """Has what the client logs printed as the programs' own notes are."""
    logger = logging.getLogger("kerasrnn_serving")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("note: %(message)s"))
    logger.handlers[:] = [handler]
    logger.propagate = False


def _checked_token(token, path):
    # What a header of HTTP may hold; gRPC itself names no file.
    if not token or not all(0x21 <= byte <= 0x7E for byte in token):
        raise UserError(
            f"--token_file: {path} holds no token: expected printable ASCII "
            "characters in one line, without spaces."
        )
    return token.decode("ascii")
