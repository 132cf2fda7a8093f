"""An export whose operations are none of kerasrnn-export's is not run."""

import contextlib
import tempfile
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.servers import fake_export
from helpers.servers import serving_process
from helpers.servers.official_stubs import Stub
from kerasrnn_export.graph import archive
from kerasrnn_export.graph import operations
from kerasrnn_serving.server import local_server
from kerasrnn_serving.server.rpc import StatusError
from tensorflow.core.protobuf import saved_model_pb2

from kerasrnn.contract import messages
from kerasrnn.contract import tensors
from kerasrnn.errors import UserError


class _Writer(tf.Module):
    """Writes a file, when it is loaded or when it is asked to."""

    def __init__(self, path, when):
        super().__init__()
        self._path = path
        self._when = when
        self.variable = tf.Variable([1.0])

    def write(self, text):
        name = tf.constant(str(self._path))
        if self._when == "call":
            tf.raw_ops.WriteFile(filename=name, contents=text[0])
        elif self._when == "save":
            tf.raw_ops.SaveV2(
                prefix=name,
                tensor_names=["x"],
                shape_and_slices=[""],
                tensors=[self.variable.read_value()],
            )
        elif self._when == "restore":
            (value,) = tf.raw_ops.RestoreV2(
                prefix=name,
                tensor_names=["x"],
                shape_and_slices=[""],
                dtypes=[tf.float32],
            )
            return {"text": text, "value": value}
        # Not a function of its input alone: a call of the other kind.
        return {
            "text": text,
            "value": self.variable.read_value(),
            "joined": tf.strings.reduce_join(text),
            "halves": tf.cast(self.variable.read_value(), tf.bfloat16),
        }


def _save(directory, when, file=None):
    module = _Writer(file or directory / "written", when)
    function = tf.function(
        module.write,
        input_signature=[tf.TensorSpec([None], tf.string, name="text")],
    )
    tf.saved_model.save(module, str(directory), {"serving_default": function})
    path = directory / archive.GRAPH_FILE
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    if when == "loading":
        _write_when_initialized(saved.meta_graphs[0], directory / "written")
    elif when == "restoring":
        saver = saved.meta_graphs[0].saver_def
        # Loading runs what it says restores.
        saver.restore_op_name = saver.save_tensor_name.partition(":")[0]
    path.write_bytes(saved.SerializeToString())


def _write_when_initialized(meta_graph, path):
    with tf.Graph().as_default() as graph:
        tf.raw_ops.WriteFile(filename=str(path), contents="x", name="written")
    meta_graph.graph_def.node.extend(graph.as_graph_def().node)
    name = meta_graph.signature_def["__saved_model_init_op"]
    (output,) = name.outputs.values()
    for node in meta_graph.graph_def.node:
        if node.name == output.name:
            node.input.append("^written")


class ForeignExportTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.enter_context(tempfile.TemporaryDirectory()))

    @parameterized.parameters(
        ("call", "WriteFile"),
        ("loading", "WriteFile"),
        ("save", "SaveV2"),
        ("restore", "RestoreV2"),
        ("restoring", "MergeV2Checkpoints, SaveV2"),
    )
    def test_it_is_refused_before_anything_of_it_runs(self, when, names):
        version = self.directory / "1"
        _save(version, when)
        before = sorted(self.directory.rglob("*"))
        with self.assertRaises(UserError) as caught:
            local_server.open_versions("kerasrnn", self.directory)
        self.assertEqual(
            str(caught.exception),
            f"Version 1 in {self.directory} does not load: It has operations "
            f"that an export of kerasrnn-export does not have there: {names}. "
            "Operations can read and write files; if you trust whoever made "
            "it, allow them by name with --allow_operations. Export the "
            "model again with kerasrnn-export.",
        )
        self.assertEqual(sorted(self.directory.rglob("*")), before)

    @parameterized.parameters(("call",), ("loading",))
    def test_what_is_allowed_by_name_runs(self, when):
        version = self.directory / "1"
        _save(version, when)
        for allowed in (["ReadFile"], ["WriteFile"], [operations.ANY]):
            (version / "written").unlink(missing_ok=True)
            with contextlib.suppress(UserError):
                versions = local_server.open_versions(
                    "kerasrnn", self.directory, allowed
                )
                self.addCleanup(versions.stop)
            self.assertEqual(
                (version / "written").exists(),
                when == "loading" and "ReadFile" not in allowed,
            )

    def test_a_harmless_one_is_loaded(self):
        _save(self.directory / "1", "never")
        versions = local_server.open_versions("kerasrnn", self.directory)
        self.addCleanup(versions.stop)
        self.assertEqual(versions.version, 1)

    def test_outputs_that_ours_do_not_have(self):
        _save(self.directory / "1", "never")
        versions = local_server.open_versions("kerasrnn", self.directory)
        self.addCleanup(versions.stop)
        request = messages.PredictRequest()
        tensors.fill_tensor(
            request.inputs["text"], np.array([b"a", b"b\0"], object), "string"
        )
        request.output_filter.extend(["joined", "text"])
        with versions.use() as (_, servable):
            response = servable.predict(request)
            self.assertEqual(set(response.outputs), {"joined", "text"})
            joined = tensors.to_array(response.outputs["joined"])
            self.assertEqual((joined.shape, joined.item()), ((), b"ab\0"))
            request.output_filter.append("halves")
            with self.assertRaisesRegex(StatusError, "bfloat16") as raised:
                servable.predict(request)
        self.assertEqual(raised.exception.code, grpc.StatusCode.UNIMPLEMENTED)

    def test_names_that_would_change_a_terminal_are_escaped(self):
        version = self.directory / "1"
        _save(version, "never")
        path = version / archive.GRAPH_FILE
        saved = archive.read_graph(version)
        saved.meta_graphs[0].graph_def.node[0].op = "\x1b[2J"
        path.write_bytes(saved.SerializeToString())
        with self.assertRaisesRegex(UserError, r"there: \\x1b\[2J\."):
            local_server.open_versions("kerasrnn", self.directory)

    def test_a_server_goes_on_with_the_version_that_it_has(self):
        fake_export.publish(self.directory, 1)
        server = serving_process.ServerProcess(self.directory, fake_export.FLAG)
        self.addCleanup(server.close)
        with tempfile.TemporaryDirectory(dir=self.directory) as aside:
            _save(Path(aside) / "2", "call")
            (Path(aside) / "2").rename(self.directory / "2")
        serving_process.wait_for_version(server.target, 2)
        stub = Stub(server.target)
        self.addCleanup(stub.close)
        response = stub.predict("spin", {"count": np.int64([3])})
        self.assertEqual(response.model_spec.version.value, 1)
        self.assertIn("does not have there: WriteFile.", server.errors())
        self.assertNotIn("Traceback", server.errors())


if __name__ == "__main__":
    absltest.main()
