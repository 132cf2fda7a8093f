"""Tests of what `TF_CONFIG` says, and of who joins whom."""

import json

from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.errors import UserError
from kerasrnn.training.multi_worker.tf_config import parse_tf_config
from kerasrnn.training.multi_worker.tf_config import wanted_cluster

TWO = {"worker": ["a:1", "b:2"]}


def tf_config(jobs, job="worker", index=0):
    return json.dumps({"cluster": jobs, "task": {"type": job, "index": index}})


class ParseTest(parameterized.TestCase):
    def test_workers(self):
        cluster = parse_tf_config(tf_config(TWO, index=1))
        self.assertFalse(cluster.is_chief)
        self.assertEqual(str(cluster.task), "worker 1 (b:2)")
        (other,) = cluster.others
        self.assertEqual(str(other), "worker 0 (a:1)")
        self.assertTrue(parse_tf_config(tf_config(TWO)).is_chief)

    def test_a_chief_comes_first(self):
        jobs = {"worker": ["a:1"], "chief": ["c:3"]}
        self.assertTrue(parse_tf_config(tf_config(jobs, "chief")).is_chief)
        cluster = parse_tf_config(tf_config(jobs, "worker"))
        self.assertFalse(cluster.is_chief)
        self.assertEqual(str(cluster.others[0]), "chief 0 (c:3)")

    @parameterized.parameters(
        "{}",
        '{"cluster": {}}',
        tf_config({"worker": ["a:1"]}),
        '{"task": {"type": "worker", "index": 0}}',
    )
    def test_one_process_is_no_cluster(self, text):
        self.assertIsNone(parse_tf_config(text))

    @parameterized.parameters(
        ("{", "cannot be understood"),
        ("[1]", "cannot be understood"),
        ("[" * 10**5, "cannot be understood"),
        (tf_config({"worker": 3}), "cannot be understood"),
        (tf_config({"worker": ["a:1", 2]}), "cannot be understood"),
        (tf_config({"worker": ["a:1", "b"]}), "cannot be understood"),
        (tf_config({"worker": ["a:1", "b:http"]}), "cannot be understood"),
        (tf_config(TWO, index="x"), "cannot be understood"),
        (tf_config(TWO, index=10**30), "cannot be understood"),
        (tf_config(TWO, index=float("inf")), "cannot be understood"),
        (tf_config(TWO, index=float("nan")), "cannot be understood"),
        (tf_config(TWO, index=True), "cannot be understood"),
        (tf_config(TWO, index=0.5), "cannot be understood"),
        (tf_config(TWO, job=["worker"]), "no address for this task"),
        (
            tf_config({"worker": ["a:1", "b:99999999999"]}),
            "cannot be understood",
        ),
        (tf_config({"worker": ["a:1", "b:\u0661"]}), "cannot be understood"),
        (tf_config({"worker": ["a:1", "b..c:2"]}), "cannot be understood"),
        (tf_config(TWO, index=2), "no address for this task, worker 2"),
        (tf_config(TWO, index=-1), "no address for this task, worker -1"),
        (tf_config(TWO, "chief"), "no address for this task, chief 0"),
        (json.dumps({"cluster": TWO}), "no address for this task, None -1"),
        (tf_config({**TWO, "ps": ["c:3"]}, "ps"), r"has jobs \['ps'\]"),
    )
    def test_what_cannot_be_used(self, text, message):
        with self.assertRaisesRegex(UserError, f"TF_CONFIG .*{message}"):
            parse_tf_config(text)


class WantedTest(parameterized.TestCase):
    @parameterized.parameters(
        ("auto", "", {"TF_CONFIG": tf_config(TWO)}, True),
        ("multi_worker", "", {"TF_CONFIG": tf_config(TWO)}, True),
        ("auto", "", {}, False),
        ("auto", "", {"TF_CONFIG": " "}, False),
        ("auto", "local", {"TF_CONFIG": tf_config(TWO)}, False),
        ("auto", "", {"TF_CONFIG": tf_config(TWO), "TPU_NAME": "x"}, False),
        ("mirrored", "", {"TF_CONFIG": tf_config(TWO)}, False),
        ("one_device", "", {"TF_CONFIG": "{"}, False),
        ("tpu", "", {"TF_CONFIG": tf_config(TWO)}, False),
    )
    def test_who_joins(self, strategy, tpu, environment, joins):
        cluster = wanted_cluster(strategy, tpu, environment)
        self.assertEqual(cluster is not None, joins)

    @parameterized.parameters({}, {"TF_CONFIG": tf_config({"worker": ["a:1"]})})
    def test_several_workers_must_be_named(self, **environment):
        with self.assertRaisesRegex(UserError, "TF_CONFIG, which lists none"):
            wanted_cluster("multi_worker", "", environment)


if __name__ == "__main__":
    absltest.main()
