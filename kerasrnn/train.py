"""Trains a character-level recurrent network on text.

Without any flag the text is the source code of Python's standard library on
this machine, and the model is in ./workdir. Run the same command again to go
on where it stopped; Ctrl-C saves and ends. The loss is in nats a character.

    kerasrnn-train --data=input.txt --workdir=my_model
    kerasrnn-train --preset=charrnn --data='books/*.txt'
    kerasrnn-train --init_from=my_model --data=more.txt --workdir=new_model
    kerasrnn-train --report --workdir=my_model
"""

import dataclasses
import os
import pathlib

from absl import flags

from kerasrnn import program
from kerasrnn.config import Config
from kerasrnn.config import DataConfig
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.config_flags import define_config_flags
from kerasrnn.config_flags import given_fields
from kerasrnn.errors import UserError
from kerasrnn.extras import require_tensorflow
from kerasrnn.presets import summaries
from kerasrnn.training.cluster import STRATEGIES


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_string(
        "workdir",
        "workdir",
        "Directory for checkpoints, logs and samples; made if it is not "
        "there. A training that it holds is gone on with, and flags that are "
        "not given then keep their values.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "preset",
        None,
        "Takes a set of flags that ships with kerasrnn. Any other flag on the "
        f"command line wins over it. There are {'; '.join(summaries())}.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "max_steps",
        0,
        "Steps to make in all; 0 makes all epochs' steps. The learning "
        "rate's schedule ends there.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "minutes",
        0.0,
        "Minutes to train in all, those of earlier runs in the workdir "
        "included; 0 is no limit. The learning rate's schedule ends there.",
        lower_bound=0.0,
        flag_values=flag_values,
    )
    flags.DEFINE_enum(
        "strategy",
        "auto",
        STRATEGIES,
        "The devices to train on. one_device: one GPU or the CPU; mirrored: "
        "all GPUs of this machine; multi_worker: all machines that TF_CONFIG "
        "lists, each running the same command; tpu: the TPU of --tpu; auto: "
        "what there is, a TPU first, then the machines of TF_CONFIG.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "tpu",
        "",
        "Name or address of a TPU; local is this machine's.",
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "report",
        False,
        "Train nothing; draw the losses and samples of the workdir so far "
        "into its report.html.",
        flag_values=flag_values,
    )
    define_config_flags(flag_values)


def main(argv: list[str]) -> int:
    """Runs the program."""
    del argv
    if flags.FLAGS.report:
        return _report(flags.FLAGS.workdir)
    require_tensorflow("kerasrnn-train")
    # Before any import that starts threads: they inherit what is blocked.
    from kerasrnn.training.interruption import Interrupted
    from kerasrnn.training.interruption import Interruption

    interruption = Interruption()
    interruption.listen()
    try:
        return _train(flags.FLAGS, interruption)
    except Interrupted as interrupted:
        print("Saved. Run the same command again to go on.")
        return 128 + interrupted.signal


def _report(workdir):
    from kerasrnn.training.report import write_report

    print(f"Wrote {write_report(workdir)}. Open it in a browser.")
    return 0


def _train(flag_values, interruption):
    from kerasrnn.training.cluster import wanted_cluster

    if flag_values.preset is not None:
        raise UserError("--preset works on the command line only.")
    cluster = wanted_cluster(flag_values.strategy, flag_values.tpu, os.environ)
    if cluster is None:
        return _lead(flag_values, interruption, None)
    others = "the other worker" if len(cluster.tasks) == 2 else "all workers"
    print(f"This is {cluster.task}. Waiting for {others} ...", flush=True)
    from kerasrnn.training.workers import joined

    with joined(cluster, interruption) as workers:
        if workers.is_chief:
            return _lead(flag_values, interruption, workers)
        return _follow(flag_values, interruption, workers)


def _follow(flag_values, interruption, workers):
    """Trains what the chief says, and leaves the writing to it."""
    from rich.console import Console

    from kerasrnn.training import briefing
    from kerasrnn.training.loop import train_and_evaluate
    from kerasrnn.training.progress import Display
    from kerasrnn.training.workdir import Workdir

    given = given_fields(flag_values, ModelConfig)
    given |= given_fields(flag_values, TrainingConfig)
    chiefs = briefing.receive(workers, given)
    if chiefs is None:
        return 0
    workdir = Workdir(pathlib.Path(flag_values.workdir))
    corpus = briefing.wait_for_corpus(workdir.corpus, chiefs.corpus_sha256)
    print("Training with the chief, which shows how it goes.", flush=True)
    result = train_and_evaluate(
        chiefs.config,
        workdir,
        corpus,
        limits=chiefs.limits,
        display=Display(Console(quiet=True)),
        interruption=interruption,
        workers=workers,
    )
    print(f"Finished: {result.reason}.")
    return 0


def _lead(flag_values, interruption, workers):
    from kerasrnn.training.workdir import locked

    with locked(flag_values.workdir) as workdir:
        saved = workdir.latest()
        given = {
            cls: given_fields(flag_values, cls)
            for cls in (DataConfig, ModelConfig, TrainingConfig)
        }
        # A mistake in the model's flags is told before the text is read.
        ModelConfig(vocabulary_size=2, **given[ModelConfig])
        if saved is None:
            training = TrainingConfig(**given[TrainingConfig])
            if training.init_from:
                _take_over(training.init_from, workdir.path, given)
            data = DataConfig(**given[DataConfig])
        else:
            data = dataclasses.replace(saved.config.data, **given[DataConfig])
            training = dataclasses.replace(
                saved.config.training, **given[TrainingConfig]
            )
        return _train_in(
            workdir,
            saved,
            data,
            given[ModelConfig],
            training,
            interruption,
            workers,
        )


def _take_over(init_from, workdir, given):
    """Adds to the fields given what comes from the model to start from."""
    from kerasrnn.training import transfer

    source = transfer.load_source(init_from, workdir)
    given[ModelConfig] = transfer.model_fields(
        source.config, given[ModelConfig]
    )
    kind = given[DataConfig].setdefault("vocabulary", source.vocabulary.kind)
    transfer.check_kind(source.vocabulary, kind)


def _train_in(
    workdir, saved, data, model_fields, training, interruption, workers
):
    from kerasrnn.text.corpus import build_corpus
    from kerasrnn.training.plan import Limits
    from kerasrnn.training.position import Position
    from kerasrnn.training.progress import Display
    from kerasrnn.training.workdir import check_resumable

    vocabulary = None
    if saved is not None:
        # What the file says is not trusted before it is checked.
        Position.from_dict(saved.info)
        model = dataclasses.replace(saved.config.model, **model_fields)
        config = Config(model=model, data=data, training=training)
        check_resumable(saved.config, config, workdir.path)
        vocabulary = saved.vocabulary
    limits = _limits(flags.FLAGS, saved, Limits)
    with Display() as display:
        corpus = build_corpus(
            data,
            workdir.corpus,
            vocabulary,
            lambda done, total, what: display.activity(
                f"{what} the text", done / max(total, 1)
            ),
            saved and saved.info.get("corpus_sha256"),
        )
        if saved is None:
            model = ModelConfig(
                vocabulary_size=len(corpus.vocabulary),
                separator_id=corpus.separator_id,
                **model_fields,
            )
            config = Config(model=model, data=data, training=training)
            workdir.write_configuration(config, corpus.vocabulary)
        elif _is_finished(saved, config, limits):
            display.note(
                f"{workdir.path} is trained already: "
                f"{saved.info['finished']}, {_summary(saved.step, saved.info)}."
                " A larger --epochs, --max_steps or --minutes goes on."
            )
            if workers is not None:
                from kerasrnn.training import briefing

                briefing.give(workers, None)
            return 0
        return _run(
            config, workdir, corpus, limits, display, interruption, workers
        )


def _run(config, workdir, corpus, limits, display, interruption, workers):
    display.note("Starting TensorFlow ...")
    import keras

    from kerasrnn.layers.threads import configure_threads
    from kerasrnn.training import briefing
    from kerasrnn.training.distribution import make_strategy
    from kerasrnn.training.loop import train_and_evaluate
    from kerasrnn.training.workers import Workers

    if workers is None:
        policy = keras.DTypePolicy(config.model.dtype_policy)
        configure_threads(config.model.units, policy.compute_dtype)
        workers = Workers(make_strategy(flags.FLAGS.strategy, flags.FLAGS.tpu))
    else:
        briefing.give(workers, briefing.Briefing(config, limits, corpus.sha256))
    display.note(_description(config, corpus, workers))
    result = train_and_evaluate(
        config,
        workdir,
        corpus,
        limits=limits,
        display=display,
        interruption=interruption,
        workers=workers,
    )
    position = {"best_loss": result.best_loss, "best_step": result.best_step}
    display.note(
        f"Finished: {result.reason}, {_summary(result.step, position)}.\n"
        f"The model is in {workdir.path}. Try\n"
        f"    kerasrnn-sample --workdir={workdir.path}"
    )
    return 0


def _limits(flag_values, saved, limits_class):
    """The limits; those not given are as they were."""
    limits = limits_class.from_info(saved.info if saved is not None else {})
    given = {
        name: flag_values[name].value
        for name in ("max_steps", "minutes")
        if flag_values[name].present
    }
    return dataclasses.replace(limits, **given)


def _is_finished(saved, config, limits):
    return (
        bool(saved.info.get("finished"))
        and config == saved.config
        and dataclasses.asdict(limits) == saved.info.get("limits")
    )


def _summary(step, info):
    text = f"{step:,} steps"
    if info.get("best_loss") is not None:
        text += (
            f", best validation loss {info['best_loss']:.4f} nats a "
            f"character at step {info['best_step']:,}"
        )
    return text


def _description(config, corpus, workers):
    model, training = config.model, config.training
    replicas = workers.strategy.num_replicas_in_sync
    of_workers = f" of {workers.size} workers" if workers.size > 1 else ""
    return (
        f"{model.num_layers}x{model.units} {model.cell} on {len(corpus):,} "
        f"characters of {len(corpus.vocabulary) - 1} kinds, "
        f"{training.batch_size} streams of {training.sequence_length} a step, "
        f"on {replicas} device{'s' if replicas > 1 else ''}{of_workers}"
    )


def run() -> None:
    """Entry point of `kerasrnn-train`."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
