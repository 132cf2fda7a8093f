"""Rules for rooms: folders of modules, of programs and of tests."""

load("@rules_python//python:py_binary.bzl", "py_binary")
load("@rules_python//python:py_library.bzl", "py_library")
load("@rules_python//python:py_test.bzl", "py_test")

# What every room stands on.
GROUND = ":kerasrnn/ground"
FOUNDATION = ":kerasrnn/foundation"

# Rooms to which the folders inside them belong.
INNER = [
    "kerasrnn/command_line",
    "kerasrnn/text",
    "serving/kerasrnn_serving/client",
    "serving/kerasrnn_serving/gateway",
]

def room(name, deps = [], wheels = []):
    """A folder's modules and what lies beside them, as one library.

    Args:
      name: The folder.
      deps: The rooms that its modules import, but those below all.
      wheels: What they import from elsewhere.
    """
    files = name + ("/**/*" if name in INNER else "/*")
    py_library(
        name = name,
        srcs = native.glob([files + ".py"]) + _around(name),
        data = native.glob([files + ".css", files + ".flags", files + ".html", files + ".js"]),
        imports = _found_in(name),
        deps = _below(name) + deps + wheels,
    )

def _below(name):
    return [GROUND] if FOUNDATION == ":" + name else [GROUND, FOUNDATION]

def _found_in(name):
    """Returns where on sys.path a room's package is, but for the root."""
    folder = name.partition("/")[0]
    return [] if folder == "kerasrnn" else [folder]

def _around(name):
    """Returns the `__init__.py` of the packages that a room is in."""
    folders = name.split("/")[:-1]
    return native.glob([
        "/".join(folders[:end + 1]) + "/__init__.py"
        for end in range(1, len(folders))
    ], allow_empty = True) if len(folders) > 1 else []

def program(name, deps, wheels = []):
    """A program: one file that wires a room's library to flags.

    Args:
      name: Its path without `.py`.
      deps: As in `room`.
      wheels: As in `room`.
    """
    py_binary(
        name = name,
        srcs = [name + ".py"],
        imports = _found_in(name),
        deps = _below(name) + deps + wheels,
    )

def programs(folder, libraries, deps):
    """A program for each file of a folder.

    Args:
      folder: Where the files are.
      libraries: Those that are no programs.
      deps: What they import.
    """
    libraries = [folder + "/" + name + ".py" for name in libraries]
    for file in native.glob([folder + "/*.py"], exclude = libraries):
        program(name = file[:-len(".py")], deps = deps)

def tests(folder, deps):
    """A test a file, each seeing its helpers and the whole repository.

    Args:
      folder: Where the files are, at any depth.
      deps: What they import.
    """
    for file in native.glob([folder + "/**/*_test.py"]):
        py_test(
            name = file[:-len(".py")],
            srcs = [file],
            data = [":sources"],
            deps = deps,
        )
