# What `__init__.py` looks up when it is first used, for type checkers.
from kerasrnn import layers as layers
from kerasrnn import model as model
from kerasrnn import sampling as sampling
from kerasrnn import text as text
from kerasrnn import training as training
from kerasrnn.config import Config as Config
from kerasrnn.config import DataConfig as DataConfig
from kerasrnn.config import ModelConfig as ModelConfig
from kerasrnn.config import TrainingConfig as TrainingConfig
from kerasrnn.errors import UserError as UserError
from kerasrnn.layers import GRU as GRU
from kerasrnn.layers import LSTM as LSTM
from kerasrnn.layers import GRUCell as GRUCell
from kerasrnn.layers import LSTMCell as LSTMCell
from kerasrnn.layers import SimpleRNN as SimpleRNN
from kerasrnn.layers import SimpleRNNCell as SimpleRNNCell
from kerasrnn.layers import StepRNN as StepRNN
from kerasrnn.model.char_rnn import CharRNN as CharRNN
from kerasrnn.model.text_generator import TextGenerator as TextGenerator
from kerasrnn.text.batches.dataset import Batch as Batch
from kerasrnn.text.batches.dataset import TextDataset as TextDataset
from kerasrnn.text.corpus import Corpus as Corpus
from kerasrnn.text.corpus import build_corpus as build_corpus
from kerasrnn.text.vocabulary import Vocabulary as Vocabulary
from kerasrnn.training.checkpoints.load_model import load_model as load_model
from kerasrnn.training.train_and_evaluate import (
    train_and_evaluate as train_and_evaluate,
)
from kerasrnn.version import __version__ as __version__
