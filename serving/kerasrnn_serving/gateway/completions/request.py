"""A request's JSON, checked: what to generate, or why that is refused."""

import base64
import binascii
import dataclasses
import secrets

from kerasrnn.contract import signatures
from kerasrnn_serving.gateway.completions.fields import Fields
from kerasrnn_serving.gateway.errors import invalid
from kerasrnn_serving.gateway.errors import model_not_found
from kerasrnn_serving.gateway.settings import Settings

_DEFAULT_LENGTH = 200
_MAX_STOPS = 4
_INT64 = 2**63
# Values of OpenAI's parameters that ask for nothing a character model lacks.
_WITHOUT_EFFECT = {
    "suffix": (None, ""),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "min_p": (None, 0),
}
_WHY_REFUSED = {
    "suffix": "A recurrent model reads from left to right, and cannot write "
    "up to a text that follows",
    "presence_penalty": "The model's sampler has no penalties",
    "frequency_penalty": "The model's sampler has no penalties",
    "logit_bias": "The model's sampler has no biases",
    "min_p": "The model's sampler has top_k and top_p, and no min_p",
}
_KNOWN = (
    *"model prompt max_tokens temperature top_p top_k n best_of stop seed "
    "stream stream_options echo logprobs user state".split(),
    *_WITHOUT_EFFECT,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completion:
    """One text to write.

    Attributes:
        index: Of the choice in the reply.
        prompt: Read first; may be empty.
        state: Token of the text before the prompt; empty is the start.
        seed: Of its draws.
    """

    index: int
    prompt: str
    state: bytes
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompletionRequest:
    """What was asked for; the fields are OpenAI's.

    Attributes:
        completions: The texts to write, in the order of the reply's choices.
        samples: How many of them continue each prompt.
        max_tokens: Characters of each.
        stop: The strings that end a text.
        logprobs: How many alternatives to list for each character; None asks
            for no probabilities at all.
        include_usage: Whether a stream ends with its usage.
        include_states: Whether each event of a stream has its state.
        user: A name that the caller gives its user, for the log.
    """

    completions: tuple[Completion, ...]
    samples: int
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    stop: tuple[str, ...]
    stream: bool
    echo: bool
    logprobs: int | None
    include_usage: bool
    include_states: bool
    user: str | None

    @property
    def prompt_characters(self) -> int:
        """Characters of the prompts, each once for all its samples."""
        prompts = self.completions[:: self.samples]
        return sum(len(one.prompt) for one in prompts)

    @property
    def characters(self) -> int:
        """Characters to be read and generated at most."""
        return self.characters_with(self.max_tokens * len(self.completions))

    def characters_with(self, written: int) -> int:
        """Returns what the model's server reads and generates.

        Each sample reads its prompt by itself. Probabilities take further
        readings of what is listed: one, or two with alternatives.

        Args:
            written: Characters of all completions together.
        """
        listings = 0 if self.logprobs is None else 1 + (self.logprobs > 0)
        # Without an echo the prompt is read once more, up to its end.
        readings = listings if self.echo else min(listings, 1)
        read = self.prompt_characters * self.samples
        return read * (1 + readings) + written * (1 + listings)

    @property
    def listed(self) -> int:
        """Characters whose probabilities the reply lists at most."""
        if self.logprobs is None:
            return 0
        read = self.prompt_characters * self.samples if self.echo else 0
        return read + self.max_tokens * len(self.completions)


def parse_request(
    fields: dict, model: str, settings: Settings
) -> CompletionRequest:
    """Returns what the fields ask for.

    Args:
        fields: Of the JSON object.
        model: The name of the model that is served.
        settings: What is allowed.

    Raises:
        ApiError: A field is unknown or its value cannot be.
    """
    reader = Fields(fields)
    reader.check_names(_KNOWN)
    asked = reader.text("model")
    if asked not in (None, model):
        raise model_not_found(asked, model)
    for name, allowed in _WITHOUT_EFFECT.items():
        if fields.get(name) not in allowed:
            raise invalid(
                f"{_WHY_REFUSED[name]}; leave {name} out or give "
                f"{allowed[-1]!r}.",
                name,
            )
    n = reader.integer("n", 1, 1, settings.max_choices)
    if reader.integer("best_of", n, 1, settings.max_choices) != n:
        raise invalid(
            "best_of must be n or left out: the gateway returns all that it "
            "generates, and their probabilities with logprobs.",
            "best_of",
        )
    options = reader.object(
        "stream_options", ("include_usage", "include_states")
    )
    logprobs = reader.integer("logprobs", -1, 0, signatures.TOP_CHARACTERS)
    request = CompletionRequest(
        completions=_completions(reader, n, settings),
        samples=n,
        max_tokens=reader.integer(
            "max_tokens",
            min(_DEFAULT_LENGTH, settings.max_tokens),
            0,
            settings.max_tokens,
        ),
        temperature=reader.number("temperature", 1.0, 0.0, 1e6),
        top_p=reader.number("top_p", 1.0, 0.0, 1.0),
        top_k=reader.integer("top_k", 0, 0, 2**31 - 1),
        stop=_stops(reader),
        stream=reader.boolean("stream"),
        echo=reader.boolean("echo"),
        logprobs=None if logprobs < 0 else logprobs,
        include_usage=options.boolean("include_usage"),
        include_states=options.boolean("include_states"),
        user=reader.text("user"),
    )
    _check_size(request, settings)
    return request


def encode_state(token: bytes) -> str:
    """Returns a state token as the API has it."""
    return base64.urlsafe_b64encode(token).decode("ascii").rstrip("=")


def _check_size(request, settings):
    count = len(request.completions)
    texts = f"its {count} completions" if count > 1 else "its completion"
    if request.characters > settings.max_request_characters:
        read = request.prompt_characters * request.samples
        longer = read > request.max_tokens * count
        raise invalid(
            f"The request may have {request.characters} characters read and "
            f"written, with each reading for {texts}; "
            f"{settings.max_request_characters} are allowed. Lower n, "
            "max_tokens or the prompts' length, or leave logprobs out.",
            "n"
            if request.samples > 1
            else "prompt"
            if longer
            else "max_tokens",
        )
    if not request.stream and request.listed > settings.max_reply_log_probs:
        raise invalid(
            f"The reply may list the probabilities of {request.listed} "
            f"characters for {texts}; {settings.max_reply_log_probs} are "
            "allowed in one that is no stream. Set stream, or lower n, "
            "max_tokens or the prompts' length.",
            "logprobs",
        )


def _completions(reader, n, settings):
    prompts = reader.texts("prompt", settings.max_choices)
    if len(prompts) * n > settings.max_choices:
        raise invalid(
            f"A request may have {settings.max_choices} completions; received "
            f"{len(prompts)} prompts with n={n}.",
            "n" if n > 1 else "prompt",
        )
    for prompt in prompts:
        if len(prompt) > settings.max_prompt_characters:
            raise invalid(
                f"A prompt has {len(prompt)} characters; at most "
                f"{settings.max_prompt_characters} are allowed. Send a long "
                "text in parts, each with the state that the last returned.",
                "prompt",
                "context_length_exceeded",
            )
    tokens = reader.texts("state", settings.max_choices)
    if len(tokens) not in (1, len(prompts)):
        raise invalid(
            f"There are {len(prompts)} prompts and {len(tokens)} states; give "
            "one state, or one for each prompt.",
            "state",
        )
    states = [_decode_state(token) for token in tokens]
    if len(states) == 1:
        states *= len(prompts)
    drawn = secrets.randbits(31)
    seed = reader.integer("seed", drawn, -_INT64, _INT64 - 1)
    return tuple(
        Completion(
            index=place * n + sample,
            prompt=prompt,
            state=state,
            # The next sample has the next seed, the last number's is the first.
            seed=(seed + sample + _INT64) % (2 * _INT64) - _INT64,
        )
        for place, (prompt, state) in enumerate(
            zip(prompts, states, strict=True)
        )
        for sample in range(n)
    )


def _stops(reader):
    if not reader.fields.get("stop"):
        return ()
    stops = reader.texts("stop", _MAX_STOPS)
    for text in stops:
        # Also bytes: what a model with a byte vocabulary counts.
        if not text or len(text.encode()) > signatures.MAX_STOP:
            raise invalid(
                f"A stop string has 1 to {signatures.MAX_STOP} bytes of UTF-8.",
                "stop",
            )
    return tuple(stops)


def _decode_state(text):
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise invalid(
            "state is not one that a completion returned.",
            "state",
            "invalid_state",
        ) from None
