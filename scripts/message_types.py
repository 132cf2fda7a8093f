"""Prints the types of the messages for type checkers.

    .venv/bin/python scripts/message_types.py > kerasrnn/contract/messages.pyi

The classes are made at run time, so a checker cannot see what fields they
have.
"""

from kerasrnn.contract import messages

_HEAD = """\
# Made by scripts/message_types.py from the table in messages.py.
from collections.abc import Iterable
from collections.abc import Mapping

from google.protobuf.internal.containers import MessageMap
from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.internal.containers import RepeatedScalarFieldContainer
from google.protobuf.message import DecodeError as DecodeError
from google.protobuf.message import Message

MESSAGES: dict[str, dict[str, tuple[int, str]]]
"""
_PYTHON_TYPES = {
    "bool": "bool",
    "bytes": "bytes",
    "double": "float",
    "float": "float",
    "int32": "int",
    "int64": "int",
    "string": "str",
    "uint32": "int",
    "uint64": "int",
}


def stub() -> str:
    """Returns the text of `kerasrnn/contract/messages.pyi`."""
    return _HEAD + "".join(map(_class, messages.MESSAGES))


def _class(name):
    fields = [
        (field, kind) for field, (_, kind) in messages.MESSAGES[name].items()
    ]
    lines = ["", f"class {name}(Message):"]
    for field, kind in fields:
        lines += _attribute(field, kind)
    arguments = [f"{field}: {_argument(kind)} = ..." for field, kind in fields]
    parameters = ["self", "*", *arguments] if arguments else ["self"]
    lines += _method("__init__", parameters, "None")
    return "\n".join(lines) + "\n"


def _method(name, parameters, returns):
    """Returns the lines of a method, as the formatter would have them."""
    line = f"    def {name}({', '.join(parameters)}) -> {returns}: ..."
    if len(line) <= 80:
        return [line]
    return [
        f"    def {name}(",
        *(f"        {parameter}," for parameter in parameters),
        f"    ) -> {returns}: ...",
    ]


def _attribute(field, kind):
    if kind in _PYTHON_TYPES or kind[1:] in _PYTHON_TYPES and kind[0] == "|":
        return [f"    {field}: {_python_type(kind)}"]
    return ["    @property", *_method(field, ["self"], _container(kind))]


def _container(kind):
    inner = _python_type(kind)
    if kind.startswith("{}"):
        return f"MessageMap[str, {inner}]"
    if kind.startswith("*"):
        shape = "Scalar" if kind[1:] in _PYTHON_TYPES else "Composite"
        return f"Repeated{shape}FieldContainer[{inner}]"
    return inner


def _argument(kind):
    inner = _python_type(kind)
    if kind.startswith("{}"):
        return f"Mapping[str, {inner}] | None"
    if kind.startswith("*"):
        return f"Iterable[{inner}] | None"
    return f"{inner} | None"


def _python_type(kind):
    name = kind.lstrip("*|{}")
    return _PYTHON_TYPES.get(name, name)


if __name__ == "__main__":
    print(stub(), end="")
