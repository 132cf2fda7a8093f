"""Certificates that sign themselves."""

import subprocess
from pathlib import Path


def make_certificate(directory: Path, name: str, host: str) -> None:
    """Makes NAME.key and NAME.pem in a directory, for a host."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2"),
            *("-subj", f"/CN={host}"),
            *("-addext", f"subjectAltName=DNS:{host}"),
        ],
        cwd=directory,
        check=True,
        capture_output=True,
    )
