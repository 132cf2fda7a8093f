"""The exceptions for answers that came but cannot be used."""

import grpc

from kerasrnn_serving.client._connection.failures import ADVICE
from kerasrnn_serving.client._connection.failures import sentence
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.client.errors import VersionGone


def refused_row(row: int, said: str) -> ServingError:
    """Returns the exception for a row that the model refused."""
    return ServingError(
        f"The model refused row {row}: {sentence(said)}.",
        code=grpc.StatusCode.INVALID_ARGUMENT.name,
        said=said,
        advice="Correct what it names; the other rows are not affected.",
        row=row,
    )


def unusable_answer(target: str, said: str) -> ServingError:
    """Returns the exception for an answer that breaks the contract."""
    return ServingError(
        f"{target} gave an answer that cannot be used: {sentence(said)}.",
        code=grpc.StatusCode.INTERNAL.name,
        said=said,
        advice=ADVICE[grpc.StatusCode.FAILED_PRECONDITION],
    )


def foreign_model(target: str, name: str, why: str) -> ServingError:
    """Returns the exception for a model whose signatures are not ours."""
    return ServingError(
        f"Model {name!r} at {target} cannot be used by this client: {why}.",
        code=grpc.StatusCode.FAILED_PRECONDITION.name,
        said=why,
        advice="Export it with this release's kerasrnn-export, or install "
        "the release that exported it.",
    )


def version_gone(version: int, error: ServingError) -> VersionGone:
    """Returns the exception for a version that is not served."""
    return VersionGone(
        f"The server does not serve version {version}, or no longer.",
        code=error.code,
        said=error.said,
        advice="Start again with the newest version, or give it the text so "
        "far as a prompt.",
    )
