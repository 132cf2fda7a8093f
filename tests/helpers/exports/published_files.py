"""A version of a few files, published as exports are."""

from kerasrnn_export.release.publish import preparation
from kerasrnn_export.release.publish import publish

FILES = {"saved_model.pb": 5000, "variables/data": 20000, "assets.extra/x": 1}


def publish_one(export_dir, progress=None):
    """Publishes a version of `FILES`, and says how far it is."""

    def say(step):
        if progress:
            print(step, file=progress, flush=True)

    with preparation(export_dir) as directory:
        for name, size in FILES.items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x" * size)
            say("wrote")
        target = publish(directory)
        say("published")
    return target
