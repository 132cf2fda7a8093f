"""What a client can do, the same for threads and for an event loop."""

from collections.abc import Callable
from collections.abc import Sequence

from kerasrnn.contract import signatures
from kerasrnn.errors import UserError
from kerasrnn_serving.client import _conversations
from kerasrnn_serving.client._arguments import whole_number
from kerasrnn_serving.client._connection.channel import Target
from kerasrnn_serving.client._connection.channel import Tls
from kerasrnn_serving.client._model import Model
from kerasrnn_serving.client._rows import generating_rows
from kerasrnn_serving.client._rows import reading_rows

# The first chunk of a stream is small, so that it comes at once.
FIRST_CHUNK = 8
CHUNK = 64


class ClientMethods:
    """The methods of `Client` and, to be awaited, of `AsyncClient`.

    Args:
        target: The server's address, host:port; or a name that gRPC
            resolves, such as dns:///models:8500, over whose addresses the
            calls go in turn.
        model: The model's name.
        version: The version to ask for; None is the newest.
        timeout: Seconds that each call of the server may take, attempts
            that are repeated included.
        tls: Of an encrypted connection.
        token: Bearer token sent with each call; needs `tls`.
        max_message_bytes: Size of a message, either way; None is no limit.

    Raises:
        UserError: A setting cannot work, or a file of `tls` cannot be read.
    """

    def __init__(
        self,
        target: str,
        model: str = "kerasrnn",
        *,
        version: int | None = None,
        timeout: float = 60.0,
        tls: Tls | None = None,
        token: str | None = None,
        max_message_bytes: int | None = None,
    ):
        for name, text in (("model", model), ("token", token)):
            if not isinstance(text, str) and (name, text) != ("token", None):
                raise UserError(f"{name} must be text, not {text!r}.")
        if version is not None:
            whole_number(version, "version", 0, 2**63 - 1)
        self._model = Model(target, model, version)
        self._max_message_bytes = max_message_bytes
        self._transport = self._make_transport(
            Target(
                address=target,
                model=model,
                timeout=timeout,
                tls=tls,
                token=token,
                max_message_bytes=max_message_bytes,
            )
        )

    def __reduce_ex__(self, protocol):
        """Refuses to be pickled and copied, in a sentence."""
        raise UserError(
            "A client holds a connection, and can be neither pickled nor "
            "copied: make one in each process."
        )

    def _make_transport(self, target):
        raise NotImplementedError

    def _run(self, conversation):
        """Returns the one thing that the conversation has for the caller."""
        raise NotImplementedError

    def _iterate(self, conversation):
        """Returns an iterator over what it has for the caller."""
        raise NotImplementedError

    def versions(self):
        """Asks which versions the server knows.

        Returns:
            A list of (version, state, error).

        Raises:
            ServingError: The server does not answer or has no such model.
        """
        return self._run(_conversations.statuses(self._model))

    def generate(
        self,
        prompts: Sequence[str | bytes] | str | bytes,
        *,
        length: int | Sequence[int] = 200,
        temperature: float | Sequence[float] = 1.0,
        top_k: int | Sequence[int] = 0,
        top_p: float | Sequence[float] = 1.0,
        seed: int | Sequence[int] | None = None,
        stop: str | bytes | Sequence[str | bytes] = "",
        state_bytes: bytes | Sequence[bytes] = b"",
    ):
        """Continues each prompt.

        Each parameter is one value for all prompts, or one for each.

        Args:
            prompts: The N texts to continue; one text is a list of one.
            length: Characters to generate, as many as you like.
            temperature: Divides the logits; 0 takes the likeliest.
            top_k: Draw among the k likeliest characters; 0 is off.
            top_p: Draw among the likeliest that add up to this; 1 is off.
            seed: The same seed gives the same text; None draws one for each
                prompt, and the result names it.
            stop: Ends a text once it ends with this; empty is off.
            state_bytes: Token of an earlier result to go on from.

        Returns:
            A list of N `Generation`, all by one version.

        Raises:
            ServingError: The call failed, or a row was refused.
            UserError: A parameter's type or number is wrong.
        """
        rows = generating_rows(
            prompts,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            stop=stop,
            state_bytes=state_bytes,
        )
        return self._run(_conversations.generate(self._model, rows))

    def stream(
        self,
        prompt: str | bytes,
        *,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: str | bytes = "",
        state_bytes: bytes = b"",
        chunk: int = CHUNK,
        first_chunk: int = FIRST_CHUNK,
        between_reads: Callable[[float], None] = lambda share: None,
    ):
        """Continues a prompt, and iterates over the text as it comes.

        The chunks' texts together are what `generate` returns for the same
        seed, however they are cut. Where the server lets go of the version
        that a stream began with, the newest one reads the text so far and
        goes on, and the chunks are marked `restarted`; a stop string is then
        looked for in what comes after.

        Args:
            prompt: The text to continue.
            length: Characters to generate.
            temperature: See `generate`.
            top_k: See `generate`.
            top_p: See `generate`.
            seed: See `generate`.
            stop: See `generate`.
            state_bytes: See `generate`. What came before it is not known
                as text, so such a stream ends with its version.
            chunk: Characters of a chunk, at most 512.
            first_chunk: Characters of the first; each next one is twice as
                long, up to `chunk`.
            between_reads: Called with the share of the prompt that is read,
                after each call.

        Returns:
            An iterator over the `Generation` of each chunk; the last has its
            `finish`. Each chunk is asked for when it is wanted.

        Raises:
            ServingError: A call failed, or the row was refused.
            UserError: A parameter's type is wrong, or it is out of range.
        """
        for name, size in (("chunk", chunk), ("first_chunk", first_chunk)):
            whole_number(size, name, 1, signatures.MAX_LENGTH)
        (row,) = generating_rows(
            [prompt],
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            stop=stop,
            state_bytes=state_bytes,
        )
        return self._iterate(
            _conversations.stream(
                self._model, row, first_chunk, chunk, between_reads
            )
        )

    def score(
        self,
        texts: Sequence[str | bytes] | str | bytes,
        *,
        state_bytes: bytes | Sequence[bytes] = b"",
        between_calls: Callable[[float], None] = lambda share: None,
    ):
        """Gives each text its probability.

        Args:
            texts: The N texts, of any length; one text is a list of one.
            state_bytes: Token of an earlier result to go on from.
            between_calls: Called with the share of the texts that is read,
                after each call.

        Returns:
            A list of N `Score`, all by one version.

        Raises:
            ServingError: The call failed, or a row was refused.
        """
        rows = reading_rows(texts, state_bytes)
        return self._run(_conversations.score(self._model, rows, between_calls))

    def inspect(
        self,
        texts: Sequence[str | bytes] | str | bytes,
        *,
        state_bytes: bytes | Sequence[bytes] = b"",
        between_calls: Callable[[float], None] = lambda share: None,
    ):
        """Shows what the network does while it reads each text.

        Args:
            texts: The N texts, of any length; one text is a list of one.
            state_bytes: Token of an earlier result to go on from.
            between_calls: Called with the share of the texts that is read,
                after each call.

        Returns:
            A list of N `Inspection`, all by one version.

        Raises:
            ServingError: The call failed, or a row was refused.
        """
        rows = reading_rows(texts, state_bytes)
        return self._run(
            _conversations.inspect(
                self._model, rows, self._max_message_bytes, between_calls
            )
        )
