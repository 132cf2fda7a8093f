"""The other sides of `learning_benchmark`: Keras, and PyTorch twice.

Shapes: B streams, T characters of a stream in a step, V characters.
"""

import math
import time

import numpy as np

_UNITS, _LAYERS, _BATCH, _LENGTH = 128, 2, 50, 50
# nanoGPT's `train_shakespeare_char.py`, as its README starts it on a CPU.
_WIDTH, _BLOCKS, _HEADS, _CONTEXT, _SAMPLES = 128, 4, 4, 64, 12
_SCORED = 16  # Characters that each window of the transformer scores.
# Steps between validations of char-rnn, which keeps a checkpoint of each.
_EVALUATE_EVERY = 1000


def train_peer(
    name: str, text: str, minutes: float, seed: int
) -> dict[str, float]:
    """Returns the loss, parameters and steps of a side.

    Args:
        name: Which side.
        text: The whole text.
        minutes: To train.
        seed: Of the first weights.
    """
    characters = sorted(set(text))
    index = {character: number for number, character in enumerate(characters)}
    ids = np.array([index[character] for character in text], np.int64)
    held_out = int(len(ids) * 0.9)
    train = {"keras": _keras, "char_rnn": _char_rnn, "transformer": _gpt}[name]
    loss, parameters, steps = train(
        ids[:held_out], ids[held_out:], len(characters), 60 * minutes, seed
    )
    return {"loss": loss, "parameters": parameters, "steps": steps}


def _streams(ids, length):
    """Returns inputs and targets of the batches in order, [N, B, T]."""
    count = (len(ids) - 1) // (_BATCH * length)
    used = _BATCH * count * length
    return [
        ids[shift : shift + used]
        .reshape(_BATCH, count, length)
        .transpose(1, 0, 2)
        for shift in (0, 1)
    ]


def _rows(ids):
    """Returns inputs and targets of the batches in order, [N * B, T]."""
    return (values.reshape(-1, _LENGTH) for values in _streams(ids, _LENGTH))


class _Best:
    """The weights with the lowest validation loss so far."""

    def __init__(self):
        self.loss, self.weights = math.inf, None

    def take(self, loss, weights):
        """Keeps what `weights` returns if `loss` is the lowest."""
        if loss < self.loss:
            self.loss, self.weights = loss, weights()


def _keras(train, validation, size, seconds, seed):
    """A stateful Keras model, `fit` on the batches in order.

    Of the weights after each epoch, the best are scored, and those at the end
    if they are better.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)

    def model_of(batch):
        model = keras.Sequential(
            [keras.Input((None,), batch_size=batch, dtype="int32")]
            # Without the shape the model is not built, and has no weights.
            + [
                keras.layers.Lambda(
                    lambda x: tf.one_hot(x, size), output_shape=(None, size)
                )
            ]
            + [
                keras.layers.LSTM(_UNITS, return_sequences=True, stateful=True)
                for _ in range(_LAYERS)
            ]
            + [keras.layers.Dense(size)]
        )
        model.compile(
            keras.optimizers.Adam(2e-3),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return model

    class Stop(keras.callbacks.Callback):
        """Ends the training in time."""

        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            """Looks at the clock."""
            Stop.steps += 1
            if time.monotonic() > end:
                self.model.stop_training = True
                raise TimeoutError

    model, validator = model_of(_BATCH), model_of(_BATCH)
    inputs, targets = _rows(train)
    best = _Best()

    def validate():
        validator.set_weights(model.get_weights())
        for layer in validator.layers:
            if isinstance(layer, keras.layers.LSTM):
                layer.reset_states()
        loss = validator.evaluate(
            *_rows(validation), batch_size=_BATCH, verbose=0
        )
        best.take(loss, model.get_weights)

    end = time.monotonic() + seconds
    try:
        while True:
            model.fit(
                inputs,
                targets,
                batch_size=_BATCH,
                shuffle=False,
                verbose=0,
                callbacks=[Stop()],
            )
            validate()
    except TimeoutError:
        validate()
    scorer = model_of(1)
    scorer.set_weights(best.weights)
    loss = scorer.evaluate(
        validation[None, :-1], validation[None, 1:], batch_size=1, verbose=0
    )
    return float(loss), model.count_params(), Stop.steps


def _char_rnn(train, validation, size, seconds, seed):
    """char-rnn's recipe: RMSprop, clipping of elements, decay by epochs.

    Of its checkpoints, the one with the lowest validation loss is scored.
    """
    import copy

    import torch
    from torch import nn

    torch.manual_seed(seed)
    lstm = nn.LSTM(size, _UNITS, _LAYERS, batch_first=True)
    dense = nn.Linear(_UNITS, size)
    parameters = [*lstm.parameters(), *dense.parameters()]
    for parameter in parameters:
        nn.init.uniform_(parameter, -0.08, 0.08)
    with torch.no_grad():
        for layer in range(_LAYERS):
            bias = getattr(lstm, f"bias_ih_l{layer}")
            bias[_UNITS : 2 * _UNITS] = 1.0
    optimizer = torch.optim.RMSprop(parameters, 2e-3, alpha=0.95)
    inputs, targets = map(torch.from_numpy, _streams(train, _LENGTH))

    def loss_of(ids, labels, state):
        hidden, state = lstm(nn.functional.one_hot(ids, size).float(), state)
        logits = dense(hidden).flatten(0, 1)
        return nn.functional.cross_entropy(logits, labels.flatten()), state

    modules = nn.ModuleList([lstm, dense])
    best = _Best()

    @torch.no_grad()
    def validate():
        state, losses = None, []
        for ids, labels in zip(
            *map(torch.from_numpy, _streams(validation, _LENGTH)), strict=True
        ):
            loss, state = loss_of(ids, labels, state)
            losses.append(loss.item())
        best.take(np.mean(losses), lambda: copy.deepcopy(modules.state_dict()))

    state, steps = None, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        epoch, batch = divmod(steps, len(inputs))
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * 0.97 ** max(0, epoch - 9)
        loss, state = loss_of(inputs[batch], targets[batch], state)
        state = [value.detach() for value in state]
        optimizer.zero_grad()
        loss.backward()
        # Of the gradient summed over the characters of a stream.
        nn.utils.clip_grad_value_(parameters, 5 / _LENGTH)
        optimizer.step()
        steps += 1
        if steps % _EVALUATE_EVERY == 0:
            validate()
    validate()
    modules.load_state_dict(best.weights)
    with torch.no_grad():
        ids = torch.from_numpy(validation)[None]
        loss, _ = loss_of(ids[:, :-1], ids[:, 1:], None)
    count = sum(parameter.numel() for parameter in parameters)
    return loss.item(), count, steps


def _gpt(train, validation, size, seconds, seed):
    """The model and recipe of nanoGPT at the size that it gives for CPUs."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    draws = np.random.default_rng(seed)
    model = _Transformer(nn, torch, size)
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": 0.1},
            {"params": others, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.99),
    )
    data = torch.from_numpy(train)
    window = torch.arange(_CONTEXT + 1)
    steps, began = 0, time.monotonic()
    while (share := (time.monotonic() - began) / seconds) < 1:
        # Down to a tenth, as nanoGPT's; by time, since steps are not known.
        rate = 1e-3 * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (steps + 1) / 100)
        starts = draws.integers(0, len(train) - _CONTEXT - 1, _SAMPLES)
        ids = data[torch.from_numpy(starts)[:, None] + window]
        loss = nn.functional.cross_entropy(
            model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
    # Each window scores its last characters, all of them each once.
    ids = torch.from_numpy(np.concatenate([train[-_CONTEXT:], validation]))
    first = torch.arange(_SCORED, len(validation) + _SCORED, _SCORED)
    nats = 0.0
    with torch.no_grad():
        for chunk in first.split(256):
            places = chunk[:, None] + window - 1  # [N, T + 1]
            known = places < len(ids)
            batch = ids[places.clamp(max=len(ids) - 1)]
            losses = nn.functional.cross_entropy(
                model(batch[:, :-1]).transpose(1, 2),
                batch[:, 1:],
                reduction="none",
            )
            losses = torch.where(known[:, 1:], losses, 0.0)
            nats += losses[:, -_SCORED:].sum().item()
    count = sum(parameter.numel() for parameter in model.parameters())
    return nats / len(validation), count, steps


def _Transformer(nn, torch, size):
    """Returns a decoder of nanoGPT's kind, without dropout and biases."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms = nn.ModuleList(
                nn.LayerNorm(_WIDTH, bias=False) for _ in range(2)
            )
            self.attend = nn.Linear(_WIDTH, 3 * _WIDTH, bias=False)
            self.project = nn.Linear(_WIDTH, _WIDTH, bias=False)
            self.expand = nn.Linear(_WIDTH, 4 * _WIDTH, bias=False)
            self.shrink = nn.Linear(4 * _WIDTH, _WIDTH, bias=False)

        def forward(self, x):
            queries, keys, values = (
                piece.unflatten(2, (_HEADS, -1)).transpose(1, 2)
                for piece in self.attend(self.norms[0](x)).chunk(3, dim=2)
            )
            mixed = nn.functional.scaled_dot_product_attention(
                queries, keys, values, is_causal=True
            )
            x = x + self.project(mixed.transpose(1, 2).flatten(2))
            hidden = nn.functional.gelu(self.expand(self.norms[1](x)))
            return x + self.shrink(hidden)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(size, _WIDTH)
            self.places = nn.Embedding(_CONTEXT, _WIDTH)
            self.blocks = nn.Sequential(*(Block() for _ in range(_BLOCKS)))
            self.norm = nn.LayerNorm(_WIDTH, bias=False)
            for name, parameter in self.named_parameters():
                if parameter.dim() > 1:
                    last = name.endswith(("project.weight", "shrink.weight"))
                    scale = 0.02 / (math.sqrt(2 * _BLOCKS) if last else 1)
                    nn.init.normal_(parameter, 0.0, scale)

        def forward(self, ids):
            places = torch.arange(ids.shape[1])
            x = self.blocks(self.tokens(ids) + self.places(places))
            # The output layer shares the embedding's weights.
            return self.norm(x) @ self.tokens.weight.T

    return Model()
