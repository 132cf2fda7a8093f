"""What a type checker sees of the packages, and what it says of a mistake.

mypy reads the packages as it does for a user: where they are installed, by
their py.typed.
"""

import ast
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from absl.testing import absltest
from helpers.sources.repository import PACKAGE_FOLDERS
from helpers.sources.repository import ROOT

import kerasrnn

_LIMIT = 300  # Seconds of a process.


class MypyTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.directory = Path(directory.name)

    def complaints(self, name, code):
        """Returns what mypy says of a user's file, a list of lines."""
        file = self.directory / name
        file.write_text(textwrap.dedent(code))
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "mypy",
                "--config-file=",
                "--cache-dir=cache",
                "--no-error-summary",
                "--strict",
                file.name,
            ],
            capture_output=True,
            text=True,
            cwd=self.directory,
            timeout=_LIMIT,
            # Under Bazel they are not installed.
            env={
                **os.environ,
                "MYPYPATH": os.pathsep.join(map(str, _not_installed())),
            },
        )
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.returncode, 1 if result.stdout else 0)
        return result.stdout.splitlines()

    def test_right_use_of_the_client(self):
        code = """\
            from collections.abc import AsyncIterator
            from collections.abc import Iterator
            from typing import assert_type

            import numpy as np

            from kerasrnn_serving.async_client import AsyncClient as Alias
            from kerasrnn_serving.client import AsyncClient
            from kerasrnn_serving.client import Client
            from kerasrnn_serving.client import Generation
            from kerasrnn_serving.client import Inspection
            from kerasrnn_serving.client import Score
            from kerasrnn_serving.client import ServingError
            from kerasrnn_serving.client import Tls
            from kerasrnn_serving.client import VersionStatus

            def threads() -> None:
                tls = Tls(ca="ca.pem")
                with Client("localhost:8500", tls=tls, timeout=3) as client:
                    assert_type(client, Client)
                    assert_type(client.generate("a"), list[Generation])
                    assert_type(
                        client.generate(["a", b"b"], length=[1, 2], seed=3),
                        list[Generation],
                    )
                    assert_type(client.stream("a"), Iterator[Generation])
                    assert_type(client.score(["a"]), list[Score])
                    assert_type(client.inspect("a"), list[Inspection])
                    assert_type(client.versions(), list[VersionStatus])
                    (result,) = client.generate("a")
                    assert_type(result.text, str)
                    assert_type(result.state_bytes, bytes)
                    for version, state, error in client.versions():
                        assert_type(version, int)
                        assert_type(state + error, str)

            async def event_loop() -> None:
                async with AsyncClient("localhost:8500") as client:
                    assert_type(client, Alias)
                    assert_type(await client.generate("a"), list[Generation])
                    chunks = client.stream("a", between_reads=print)
                    assert_type(chunks, AsyncIterator[Generation])
                    async for chunk in chunks:
                        assert_type(chunk, Generation)
                    assert_type(await client.score("a"), list[Score])
                    assert_type(await client.inspect("a"), list[Inspection])
                    assert_type(await client.versions(), list[VersionStatus])

            def row(error: ServingError) -> int | None:
                return error.row
            """
        self.assertEqual(self.complaints("right.py", code), [])

    def test_a_model_in_this_process(self):
        code = """\
            from collections.abc import Iterator
            from typing import assert_type

            import kerasrnn
            from kerasrnn.model.text_generator import Chunk

            loaded = kerasrnn.load_model("my_model")
            model, vocabulary, config, info = loaded
            assert_type(model, kerasrnn.CharRNN)
            assert_type(vocabulary, kerasrnn.Vocabulary)
            assert_type(config, kerasrnn.Config)
            generator = kerasrnn.TextGenerator(config.model, vocabulary)
            chunks = generator.stream([], prompt="a", length=3)
            assert_type(chunks, Iterator[Chunk])
            more = generator.stream([], length=3, state=next(chunks).state)
            generator.stream([], prompt=3, length=3)  # type: ignore[arg-type]
            kerasrnn.layers.LSTM(3, return_sequences=True)
            kerasrnn.layers.LSTM("3")  # type: ignore[arg-type]
            kerasrnn.DataConfig(data="text.txt")  # type: ignore[arg-type]
            """
        self.assertEqual(self.complaints("local.py", code), [])

    def test_wrong_use_of_the_client(self):
        wrong = {
            'client.generate("a", length="long")': "arg-type",
            'client.generate("a", temprature=1.0)': "call-arg",
            "client.generate(3)": "arg-type",
            'client.stream(["a", "b"])': "arg-type",
            'client.generate("a").text': "attr-defined",
            'client.generate("a")[0].words': "attr-defined",
            'client.score("a", between_calls=3)': "arg-type",
            "client.versions()[0].number": "attr-defined",
            "Client(8500)": "arg-type",
            'Client("localhost:8500", tls=True)': "arg-type",
            "Tls(ca=True)": "arg-type",
            "AsyncClient(target).generate('a')[0]": "index",
            "list(AsyncClient(target).stream('a'))": "call-overload",
        }
        head = """\
            from kerasrnn_serving.client import AsyncClient
            from kerasrnn_serving.client import Client
            from kerasrnn_serving.client import Tls

            target = "localhost:8500"
            client = Client(target)
            """
        complaints = self.complaints(
            "wrong.py", textwrap.dedent(head) + "\n".join(wrong)
        )
        first = head.count("\n") + 1
        for line, (expression, code) in enumerate(wrong.items(), first):
            said = [c for c in complaints if c.startswith(f"wrong.py:{line}:")]
            with self.subTest(expression):
                self.assertLen([c for c in said if ": error: " in c], 1, said)
                self.assertEndsWith(said[0], f"[{code}]")


class SignaturesTest(absltest.TestCase):
    def test_every_public_function_has_a_full_signature(self):
        wrong = []
        for folder, package in (
            (".", "kerasrnn"),
            ("export", "kerasrnn_export"),
            ("serving", "kerasrnn_serving"),
        ):
            for path in sorted((ROOT / folder / package).rglob("*.py")):
                wrong += [
                    f"{path.relative_to(ROOT)}: {name} of {function.name}"
                    for function in _public_functions(
                        ast.parse(path.read_text()).body
                    )
                    for name in _untyped(function)
                ]
        self.assertEqual(wrong, [])


class StubsTest(absltest.TestCase):
    def test_the_package_has_the_names_that_checkers_see(self):
        stub = ast.parse((ROOT / "kerasrnn" / "__init__.pyi").read_text())
        seen = {alias.asname for node in stub.body for alias in node.names}
        self.assertEqual(seen, set(dir(kerasrnn)) & seen)
        self.assertContainsSubset(kerasrnn.__all__, seen)

    def test_the_stub_says_what_the_messages_are(self):
        made = subprocess.run(
            [sys.executable, ROOT / "scripts" / "message_types.py"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_LIMIT,
        )
        stub = ROOT / "kerasrnn" / "contract" / "messages.pyi"
        self.assertEqual(
            stub.read_text(), made.stdout, "see scripts/message_types.py"
        )


def _public_functions(body):
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public_functions(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name == "__init__" or not node.name.startswith("_"):
                yield node


def _untyped(function):
    """Returns what has no type: names of arguments, or "the result"."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    others = filter(None, [arguments.vararg, arguments.kwarg])
    untyped = [
        argument.arg
        for argument in [*named, *others]
        if argument.annotation is None and argument.arg not in ("self", "cls")
    ]
    if function.returns is None and function.name != "__init__":
        untyped.append("the result")
    return untyped


def _not_installed():
    return PACKAGE_FOLDERS if "TEST_SRCDIR" in os.environ else ()


if __name__ == "__main__":
    absltest.main()
