"""Names of flags that users bring along, and what they are called here.

From char-rnn, torch-rnn, nanoGPT, and what trainers commonly call them.
"""

from collections.abc import Collection

# A name for the flags of which the first that a program has is meant.
NAMES = {
    "export_dir": (
        "export_path model_base_path model_path out_dir output "
        "output_dir saved_model savedmodel"
    ),
    "workdir": (
        "checkpoint_dir checkpoint_name checkpoint_path log_dir "
        "logdir model_dir out_dir output_dir run_dir save_dir "
        "savefile train_dir"
    ),
    "data": (
        "corpus data_dir data_file data_path dataset file files input "
        "input_file input_h5 input_json inputs source text text_file "
        "train train_data train_file training_data"
    ),
    "file": "data data_dir dataset input input_file test_data text_file",
    "prompt_file": "file input input_file",
    "prompt": "context prefix prime primetext seed_text start start_text text",
    "cell": "cell_type layer_type model model_type rnn rnn_type type",
    "units": (
        "dim hidden hidden_dim hidden_size hidden_units n_embd "
        "n_hidden n_units nhid num_hidden num_units rnn_size size "
        "width"
    ),
    "num_layers": "depth layers n_layer n_layers nlayers num_layer",
    "embedding_size": (
        "emb_size embed_dim embed_size embedding_dim emsize wordvec_size"
    ),
    "dropout": "drop drop_rate dropout_rate keep_prob p_dropout",
    "recurrent_kernel_dropout": (
        "dropconnect recurrent_dropout wdrop weight_drop weight_dropout"
    ),
    "dropout_warmup_steps": "dropout_rise dropout_schedule dropout_warmup",
    "batch_size": "batch batchsize bs num_streams streams",
    "sequence_length": (
        "block_size bptt chunk_len context_length max_seq_len seq_len "
        "seq_length seqlen sequence_len timesteps"
    ),
    "epochs": "epoch max_epochs n_epochs nepochs num_epochs",
    "max_steps": (
        "iterations iters max_iters num_iterations num_steps steps "
        "total_steps train_steps"
    ),
    "minutes": "hours max_minutes max_time time time_limit",
    "patience": "early_stop early_stopping",
    "optimizer": "optim optimiser",
    "learning_rate": "eta lr rate",
    "schedule": "decay_lr lr_decay lr_schedule lr_scheduler scheduler",
    "decay_rate": "gamma learning_rate_decay lr_decay_factor",
    "decay_after": "learning_rate_decay_after lr_decay_after lr_decay_every",
    "warmup_steps": "warmup warmup_iters",
    "beta_1": "beta1 momentum",
    "beta_2": "beta2",
    "epsilon": "adam_epsilon eps",
    "weight_decay": "l2 wd wdecay",
    "clip_norm": (
        "clip clip_grad clip_grad_norm grad_clip gradient_clip max_grad_norm"
    ),
    "averaging": "ema ema_decay",
    "accumulation_steps": (
        "accum_steps accumulate_grad_batches grad_accum "
        "gradient_accumulation gradient_accumulation_steps"
    ),
    "validation_fraction": (
        "val_frac val_fraction val_split valid_frac validation_split"
    ),
    "test_fraction": "test_frac test_split",
    "evaluate_every": (
        "eval_every eval_interval eval_steps eval_val_every "
        "val_interval validate_every"
    ),
    "validation_cost": (
        "eval_batches eval_iters limit_val_batches validation_steps"
    ),
    "checkpoint_every": (
        "checkpoint_interval save_every save_interval save_steps"
    ),
    "sample_every": "sample_interval",
    "keep": "keep_checkpoints max_to_keep save_total_limit",
    "init_from": (
        "fine_tune finetune from_model initial_model load_from "
        "pretrained warm_start"
    ),
    "dtype_policy": "amp bf16 dtype float16 fp16 mixed_precision precision",
    "jit_compile": "compile jit xla",
    "vocabulary": "level token_type tokenizer",
    "seed": "manual_seed random_seed rng_seed",
    "length": (
        "len max_length max_new_tokens max_tokens n_chars num_chars "
        "num_tokens sample_length tokens words"
    ),
    "temperature": "temp",
    "top_k": "topk",
    "top_p": "nucleus topp",
    "num_samples": "count n n_samples num samples",
    "stop": "stop_sequence stop_string stop_token until",
    "server": "address endpoint host target url",
    "streams": "batch_size",
}

# What no flag does, or more than one: what to do instead.
ADVICE = {
    "resume continue restore reload reset_iterations": (
        "sequence_length",
        "a run resumes by itself: start it with the same --workdir",
    ),
    "quiet silent no_progress": (
        "",
        "to hide the output, add > /dev/null",
    ),
    "device devices gpu gpuid gpus gpu_id cuda cpu no_cuda use_gpu num_gpus": (
        "workdir",
        "the variable CUDA_VISIBLE_DEVICES chooses the GPUs, as in "
        "CUDA_VISIBLE_DEVICES=0; if it is empty, the CPU is used",
    ),
    "backend framework": ("", "the programs run on TensorFlow alone"),
    "config config_file": ("", "--flagfile=FILE reads flags from a file"),
    "train_frac train_split": (
        "validation_fraction",
        "--validation_fraction and --test_fraction leave the rest to train on",
    ),
    "print_every log_every log_interval log_steps verbose": (
        "sequence_length",
        "progress is always shown, and history.jsonl in the --workdir has "
        "every step",
    ),
    "model checkpoint init_from load model_file model_path weights": (
        "workdir",
        "--workdir names the directory of the run with the model",
    ),
}


def advice(name: str, own: Collection[str]) -> str | None:
    """Returns what to do where a program has no flag of a name.

    Args:
        name: As the user wrote it, without the hyphens before it.
        own: The names of the flags that the program has.

    Returns:
        The end of a sentence, with its full stop, or None.
    """
    name = name.lower().replace("-", "_")
    if name in own:
        return f"; did you mean --{name}?"
    for flag, names in NAMES.items():
        if flag in own and name in names.split():
            return f"; did you mean --{flag}?"
    for names, (needed, sentence) in ADVICE.items():
        if name in names.split() and (not needed or needed in own):
            return f": {sentence}."
    return None
