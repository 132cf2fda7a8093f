"""An HTTP gateway to a served model: a page, and OpenAI's completions API.

    kerasrnn-gateway --server=localhost:8500      # then open the address
    kerasrnn-gateway keys add alice --keys=keys.json --requests_per_minute=60
    kerasrnn-gateway keys list --keys=keys.json
    kerasrnn-gateway keys remove alice --keys=keys.json

`keys add` prints the new key once; the file holds only its hash, and a
running gateway reads the change at once.
"""

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
import threading
from pathlib import Path

from absl import flags

from kerasrnn.command_line import program
from kerasrnn.command_line.flag_types import define_float
from kerasrnn.command_line.flag_types import define_integer
from kerasrnn.command_line.flag_types import define_path
from kerasrnn.errors import UserError
from kerasrnn.foundation.constraints import POSITIVE_COUNT
from kerasrnn.foundation.constraints import SECONDS
from kerasrnn.foundation.constraints import Range
from kerasrnn.foundation.constraints import constraints
from kerasrnn.foundation.hosts import names_this_machine
from kerasrnn_serving.gateway.settings import DESCRIPTIONS
from kerasrnn_serving.gateway.settings import Settings
from kerasrnn_serving.programs import connection_flags

_KEYS = "keys"
_INPUT = 0
_LIMITS = {
    "requests_per_minute": "With `keys add`: completions requests per minute; "
    "no limit if not given.",
    "characters_per_minute": "With `keys add`: characters per minute, read and "
    "generated; no limit if not given.",
    "requests_at_once": "With `keys add`: completions requests in progress; no "
    "limit if not given.",
}


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    connection_flags.define_connection_flags(flag_values, "localhost:8500")

    def define(function, *arguments, **options):
        function(*arguments, flag_values=flag_values, **options)

    define(
        flags.DEFINE_string,
        "host",
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 is every network. Anything beyond this "
        "machine needs --keys or --open.",
    )
    define(
        define_integer,
        "port",
        8080,
        "HTTP port; 0 takes a free one and prints it.",
        allowed=Range(0, 2**16 - 1),
    )
    define(
        define_path,
        _KEYS,
        None,
        "File of the keys that the API asks for; it is read again when it "
        "changes.",
    )
    define(
        flags.DEFINE_bool,
        "open",
        False,
        "Serve whoever can reach --host, by any name, without keys.",
    )
    define(
        define_path,
        "https_certificate",
        None,
        "PEM file with the certificate for HTTPS; by default it is HTTP.",
    )
    define(define_path, "https_key", None, "PEM file with its private key.")
    define(
        flags.DEFINE_string,
        "trusted_proxy",
        None,
        "Addresses of proxies, separated by commas, whose X-Forwarded-For "
        "says who asks.",
    )
    define(
        flags.DEFINE_bool,
        "end_with_input",
        False,
        "Stop when standard input ends, as when the program that started this "
        "one does.",
    )
    for name, allowed in constraints(Settings).items():
        kind = define_float if allowed is SECONDS else define_integer
        default = getattr(Settings(), name)
        define(kind, name, default, DESCRIPTIONS[name], allowed=allowed)
    for name, text in _LIMITS.items():
        define(define_integer, name, None, text, allowed=POSITIVE_COUNT)
    define(
        define_float,
        "expires_days",
        None,
        "With `keys add`: days after which the key expires; never if not "
        "given.",
        allowed=SECONDS,
    )


def main(argv: list[str]) -> int:
    """Serves until it is stopped, or changes the file of keys."""
    values = flags.FLAGS
    if argv[1:2] == [_KEYS]:
        return _change_keys(values, argv[2:])
    _refuse_limits(values, "when it serves")
    _check_host(values)
    settings = Settings(
        **{
            field.name: getattr(values, field.name)
            for field in dataclasses.fields(Settings)
        }
    )
    return asyncio.run(_serve(values, settings))


def _change_keys(values, arguments):
    from kerasrnn_serving.gateway.access.key_commands import run_command
    from kerasrnn_serving.gateway.access.limits import Limits

    if values.keys is None:
        raise UserError(
            "Which file of keys? Expected --keys=FILE, as in "
            "`kerasrnn-gateway keys add NAME --keys=keys.json`."
        )
    if arguments[:1] in (["list"], ["remove"]):
        _refuse_limits(values, f"with `{_KEYS} {arguments[0]}`")
    limits = Limits(**{name: getattr(values, name) for name in _LIMITS})
    print(
        run_command(arguments, Path(values.keys), limits, values.expires_days)
    )
    return 0


def _refuse_limits(values, where):
    """Refuses what limits a key, where none is made."""
    for name in (*_LIMITS, "expires_days"):
        if getattr(values, name) is not None:
            raise UserError(
                f"--{name} belongs to a key, and does nothing {where}: give "
                f"it to `kerasrnn-gateway keys add NAME --keys=FILE --{name}="
                "...`, which makes one."
            )


def _check_host(values):
    if values.keys is not None and values.open:
        raise UserError(
            "Both --keys and --open are given; give one of them: --open lets "
            "in whoever has no key."
        )
    if (
        values.keys is None
        and not values.open
        and not names_this_machine(values.host)
    ):
        raise UserError(
            f"--host={values.host} lets other machines in. Give --keys=FILE "
            "(`kerasrnn-gateway keys add NAME` makes one), or --open to serve "
            "whoever can reach it."
        )
    if (values.https_certificate is None) != (values.https_key is None):
        raise UserError("HTTPS needs both --https_certificate and --https_key.")


async def _serve(values, settings):
    from kerasrnn_serving.gateway import server
    from kerasrnn_serving.gateway.access.keys import KeyRing
    from kerasrnn_serving.gateway.app import make_app

    server.allow_files(settings.max_connections)
    keys = None if values.keys is None else KeyRing(Path(values.keys))
    tls = None
    if values.https_certificate is not None:
        tls = server.tls_context(values.https_certificate, values.https_key)
    async with connection_flags.async_client_of(values) as client:
        listener = server.listen(values.host, values.port)
        scheme = "https" if tls else "http"
        host = f"[{values.host}]" if ":" in values.host else values.host
        port = listener.getsockname()[1]

        def announce():
            print(
                f"The page and the API of {values.model} at {values.server}: "
                f"{scheme}://{host}:{port}",
                file=sys.stderr,
                flush=True,
            )
            if values.end_with_input:
                threading.Thread(target=_end_with_input, daemon=True).start()

        await server.serve(
            make_app(
                client,
                values.model,
                settings=settings,
                keys=keys,
                any_host=values.open or values.trusted_proxy is not None,
            ),
            listener,
            settings,
            tls=tls,
            trusted_proxies=values.trusted_proxy,
            when_ready=announce,
        )
    return 0


def _end_with_input():
    """Waits for the end of the input, of whatever kind of file it is."""
    with contextlib.suppress(OSError):  # It is closed.
        while os.read(_INPUT, 1024):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def run() -> None:
    """Entry point."""
    program.run(main, define_flags, commands=(_KEYS,))


if __name__ == "__main__":
    run()
