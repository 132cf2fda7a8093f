"""The files that a hosting site and a citation manager read, by schema."""

import contextlib
import copy
import io
import json
import re
import tempfile
import tomllib

import check_jsonschema
import yaml
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sources.repository import ROOT

from kerasrnn.version import __version__

_GITHUB = ROOT / ".github"

# File -> the schema, of those that check-jsonschema brings along.
_SCHEMAS = {
    ROOT / "CITATION.cff": "citation-file-format",
    _GITHUB / "workflows" / "test.yml": "github-workflows",
    _GITHUB / "workflows" / "package.yml": "github-workflows",
    _GITHUB / "ISSUE_TEMPLATE" / "bug_report.yml": "github-issue-forms",
    _GITHUB / "ISSUE_TEMPLATE" / "config.yml": "github-issue-config",
    ROOT / "serving" / "docker" / "compose.yaml": "compose-spec",
}


def complaints(schema, value):
    """Returns what check-jsonschema says of a value, "" if nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(value, file)
        file.flush()
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            try:
                check_jsonschema.main(
                    [f"--builtin-schema=vendor.{schema}", file.name]
                )
            except SystemExit as end:
                return said.getvalue() if end.code else ""
    raise AssertionError("check-jsonschema did not say how it ended")


def parsed(path):
    # "on" is a key of a workflow, not YAML 1.1's true.
    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [entry for entry in entries if "bool" not in entry[0]]
        for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    value = yaml.load(path.read_text(), Loader)
    return _with_bools(value)


def _with_bools(value):
    if isinstance(value, dict):
        return {key: _with_bools(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_bools(entry) for entry in value]
    return {"true": True, "false": False}.get(value, value)


class SchemaTest(parameterized.TestCase):
    @parameterized.parameters(*_SCHEMAS.items())
    def test_file_is_as_its_schema_says(self, path, schema):
        self.assertEqual(complaints(schema, parsed(path)), "")

    def test_the_check_finds_a_mistake(self):
        path = _GITHUB / "workflows" / "test.yml"
        broken = copy.deepcopy(parsed(path))
        broken["jobs"]["test"]["run-on"] = broken["jobs"]["test"].pop("runs-on")
        self.assertIn("runs-on", complaints("github-workflows", broken))

    def test_no_file_is_left_out(self):
        found = [p for p in _GITHUB.rglob("*.y*ml")]
        self.assertContainsSubset(found, list(_SCHEMAS))


class ContentTest(absltest.TestCase):
    def test_workflows_run_what_is_there(self):
        targets = re.findall(
            r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE
        )
        for path in (_GITHUB / "workflows").glob("*.yml"):
            (job,) = parsed(path)["jobs"].values()
            runs = "\n".join(step.get("run", "") for step in job["steps"])
            for target in re.findall(r"\bmake ([a-z-]+)", runs):
                self.assertIn(target, targets)
            for script in re.findall(r"^(\.[a-z]+/\w+)", runs, re.MULTILINE):
                self.assertTrue((ROOT / script).is_file(), script)

    def test_every_python_that_is_supported_is_tested(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        self.assertEqual(project["project"]["requires-python"], ">=3.11,<3.14")
        supported = ["3.11", "3.12", "3.13"]
        workflow = parsed(_GITHUB / "workflows" / "test.yml")
        matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
        self.assertEqual(matrix["python"], supported)
        classifiers = project["project"]["classifiers"]
        for version in supported:
            self.assertIn(
                f"Programming Language :: Python :: {version}", classifiers
            )

    def test_the_version_is_cited(self):
        citation = parsed(ROOT / "CITATION.cff")
        self.assertEqual(str(citation["version"]), __version__)

    def test_security_names_tests_that_are_there(self):
        text = (ROOT / "SECURITY.md").read_text()
        for name in re.findall(r"`(tests/\w+\.py)`", text):
            self.assertTrue((ROOT / name).is_file(), name)


if __name__ == "__main__":
    absltest.main()
