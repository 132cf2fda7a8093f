"""Exceptions of all packages travel whole: by pickle, copy, process pools."""

import concurrent.futures
import copy
import functools
import importlib
import multiprocessing
import pickle

import grpc
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sources import source_tree
from kerasrnn_serving.async_client import AsyncClient
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import ServingError

from kerasrnn.errors import UserError

_TIMEOUT = 120

# What each is made of, where that is more than a sentence.
_ARGUMENTS = {
    "ApiError": (400, "a sentence"),
    "Diverged": (3, "the loss is NaN"),
    "Interrupted": (15,),
    "WorkerLost": (None, "a reason"),
    "StatusError": (grpc.StatusCode.ABORTED, "a sentence"),
}
_OPTIONS = {
    "ServingError": {
        "code": "ABORTED",
        "said": "no",
        "advice": "Go.",
        "row": 2,
    },
    "VersionGone": {"code": "NOT_FOUND", "said": "gone"},
}


@functools.cache
def _exception_classes():
    """Returns (module, name) of all classes that are exceptions."""
    known = {"Exception", "BaseException", "ValueError", "RuntimeError"}
    classes, found = [], True
    modules = source_tree.read_modules().values()
    named = [
        (module, node)
        for module in modules
        if not module.path.startswith(("tests/", "examples/"))
        for node in source_tree.ast.walk(module.tree)
        if isinstance(node, source_tree.ast.ClassDef)
    ]
    while found:
        found = [
            (module.name, node.name)
            for module, node in named
            if node.name not in known
            and any(
                base.rpartition(".")[2] in known
                for base in map(source_tree.ast.unparse, node.bases)
            )
        ]
        known.update(name for _, name in found)
        classes += found
    return sorted(classes)


def _example(module, name):
    made = getattr(importlib.import_module(module), name)
    error = made(
        *_ARGUMENTS.get(name, ("a sentence",)), **_OPTIONS.get(name, {})
    )
    error.add_note("a note")
    return error


def _fail(module, name):
    raise _example(module, name)


def _refuse(port):
    with Client(f"127.0.0.1:{port}") as client:
        client.generate("a")


class ErrorsTest(absltest.TestCase):
    def assert_same(self, error, other):
        self.assertIs(type(other), type(error))
        self.assertEqual(str(other), str(error))
        self.assertEqual(other.args, error.args)
        self.assertEqual(vars(other), vars(error))

    def test_they_are_found(self):
        names = {name for _, name in _exception_classes()}
        self.assertLessEqual(
            {"UserError", "VersionGone", "StatusError", "Diverged"}, names
        )

    def test_pickle_and_copy(self):
        for module, name in _exception_classes():
            error = _example(module, name)
            others = [copy.copy(error), copy.deepcopy(error)]
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                others.append(pickle.loads(pickle.dumps(error, protocol)))
            for other in others:
                self.assert_same(error, other)

    def test_process_pools(self):
        classes = [
            (module, name)
            for module, name in _exception_classes()
            # TensorFlow takes seconds to import.
            if module.startswith(("kerasrnn_serving", "kerasrnn.errors"))
        ]
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            for module, name in classes:
                result = pool.apply_async(_fail, (module, name))
                with self.assertRaises(Exception) as raised:
                    result.get(_TIMEOUT)
                self.assertEqual(type(raised.exception).__name__, name)
                self.assertEqual(
                    str(raised.exception), str(_example(module, name))
                )
        with concurrent.futures.ProcessPoolExecutor(
            1, mp_context=context
        ) as pool:
            error = pool.submit(_refuse, 1).exception(_TIMEOUT)
        self.assertIsInstance(error, ServingError)
        self.assertEqual(error.code, "UNAVAILABLE")


class ClientTest(parameterized.TestCase):
    @parameterized.parameters(Client, AsyncClient)
    def test_a_client_cannot_be_copied(self, client_class):
        client = client_class("127.0.0.1:1")
        for function in (pickle.dumps, copy.copy, copy.deepcopy):
            with self.assertRaisesRegex(
                UserError, "holds a connection.*one in each process"
            ):
                function(client)


if __name__ == "__main__":
    absltest.main()
