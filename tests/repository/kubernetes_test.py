"""The files for Kubernetes, against its own schemas and the other files."""

import copy

import kubernetes_validate
import yaml
from absl.testing import absltest
from absl.testing import parameterized
from helpers.sources.repository import ROOT
from kerasrnn_serving.programs import serve

_SERVING = ROOT / "serving"
_DOCKER = _SERVING / "docker"
# The oldest whose pods can sleep before they stop, and the newest known.
_VERSIONS = ("1.30", kubernetes_validate.latest_version())


def documents(pattern="*.yaml"):
    """Returns the documents of all files."""
    found = []
    for path in sorted((_SERVING / "kubernetes").glob(pattern)):
        found += yaml.safe_load_all(path.read_text())
    return found


def document(kind):
    """Returns the one document of a kind."""
    (found,) = [entry for entry in documents() if entry["kind"] == kind]
    return found


class SchemaTest(parameterized.TestCase):
    @parameterized.parameters(*_VERSIONS)
    def test_every_document_is_as_the_schema_says(self, version):
        found = documents()
        self.assertLen(found, 6)
        for entry in found:
            kubernetes_validate.validate(entry, version, strict=True)

    def test_the_check_finds_mistakes(self):
        deployment = document("Deployment")
        for path, key, value in (
            ([], "replica", 2),
            (["template", "spec"], "terminationGracePeriodSeconds", "60s"),
            (["template", "spec", "containers", 0], "arg", []),
            (
                ["template", "spec", "containers", 0, "readinessProbe"],
                "grpcPort",
                8500,
            ),
        ):
            broken = copy.deepcopy(deployment)
            place = broken["spec"]
            for step in path:
                place = place[step]
            place[key] = value
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(broken, _VERSIONS[0], strict=True)


class MeaningTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.deployment = document("Deployment")["spec"]
        self.template = self.deployment["template"]
        self.pod = self.template["spec"]
        (self.container,) = self.pod["containers"]

    def test_configuration_is_that_of_docker(self):
        data = document("ConfigMap")["data"]
        self.assertLen(data, 3)
        for name, text in data.items():
            self.assertEqual(text, (_DOCKER / name).read_text())

    def test_everything_that_is_named_is_there(self):
        labels = self.template["metadata"]["labels"].items()
        service = document("Service")
        for selector in (
            self.deployment["selector"]["matchLabels"],
            service["spec"]["selector"],
            document("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
            document("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        ):
            self.assertNotEmpty(selector)
            self.assertLessEqual(selector.items(), labels)
        volumes = {volume["name"]: volume for volume in self.pod["volumes"]}
        mounts = {m["name"]: m for m in self.container["volumeMounts"]}
        self.assertEqual(set(volumes), set(mounts))
        self.assertEqual(
            volumes["models"]["persistentVolumeClaim"]["claimName"],
            document("PersistentVolumeClaim")["metadata"]["name"],
        )
        self.assertEqual(
            volumes["configuration"]["configMap"]["name"],
            document("ConfigMap")["metadata"]["name"],
        )
        names = {port["name"] for port in self.container["ports"]}
        for port in service["spec"]["ports"]:
            self.assertIn(port["targetPort"], names)
        files = [
            argument.partition("=/config/")[2]
            for argument in self.container["args"]
            if "=/config/" in argument
        ]
        self.assertEqual(
            set(files), {path.name for path in _DOCKER.glob("*.config")}
        )
        path = mounts["models"]["mountPath"]
        self.assertIn(f'"{path}"', (_DOCKER / "models.config").read_text())

    def test_flags_are_those_of_compose(self):
        compose = yaml.safe_load((_DOCKER / "compose.yaml").read_text())
        command = compose["services"]["serving"]["command"]
        self.assertLessEqual(set(command), set(self.container["args"]))
        self.assertEqual(
            [*self.container["command"]],
            compose["services"]["serving"]["entrypoint"],
        )

    def test_the_image_is_the_one_that_the_program_takes(self):
        self.assertEqual(self.container["image"], serve.IMAGE)
        text = (_SERVING / "kubernetes" / "deployment.yaml").read_text()
        for tag in serve.FALLBACK_TAGS:
            self.assertIn(tag, text)

    def test_no_rights(self):
        rights = self.container["securityContext"]
        self.assertFalse(rights["allowPrivilegeEscalation"])
        self.assertTrue(rights["readOnlyRootFilesystem"])
        self.assertEqual(rights["capabilities"]["drop"], ["ALL"])
        self.assertTrue(self.pod["securityContext"]["runAsNonRoot"])
        self.assertNotEqual(self.pod["securityContext"]["runAsUser"], 0)
        for mount in self.container["volumeMounts"]:
            self.assertTrue(mount["readOnly"])

    def test_the_service_resolves_to_every_replica(self):
        self.assertEqual(document("Service")["spec"]["clusterIP"], "None")

    def test_a_replica_ends_after_its_connections_have(self):
        (age,) = [
            int(argument.rpartition("=")[2]) / 1000
            for argument in self.container["args"]
            if "max_connection_age_ms" in argument
        ]
        sleep = self.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        # gRPC spreads the ages by a tenth.
        self.assertGreater(sleep, 1.1 * age)
        self.assertGreater(self.pod["terminationGracePeriodSeconds"], sleep)
        # Or the server would be process 1, which SIGTERM does not end.
        self.assertTrue(self.pod["shareProcessNamespace"])


class ServersAndGatewayTest(absltest.TestCase):
    """What holds of all files, those of the gateway included."""

    def setUp(self):
        super().setUp()
        self.documents = documents("**/*.yaml")

    def of_kind(self, kind):
        found = [entry for entry in self.documents if entry["kind"] == kind]
        self.assertNotEmpty(found)
        return found

    def test_replicas_are_the_autoscaler_s_where_there_is_one(self):
        scaled = [
            entry["spec"]["scaleTargetRef"]["name"]
            for entry in self.of_kind("HorizontalPodAutoscaler")
        ]
        for deployment in self.of_kind("Deployment"):
            self.assertEqual(
                "replicas" in deployment["spec"],
                deployment["metadata"]["name"] not in scaled,
            )

    def test_prometheus_reaches_what_it_is_told_to_scrape(self):
        """It is in a namespace of its own, named monitoring."""
        policies = self.of_kind("NetworkPolicy")
        for deployment in self.of_kind("Deployment"):
            template = deployment["spec"]["template"]
            annotations = template["metadata"]["annotations"]
            self.assertEqual(annotations["prometheus.io/scrape"], "true")
            number = int(annotations["prometheus.io/port"])
            (name,) = [
                port["name"]
                for container in template["spec"]["containers"]
                for port in container["ports"]
                if port["containerPort"] == number
            ]
            labels = template["metadata"]["labels"].items()
            for policy in policies:
                selector = policy["spec"]["podSelector"]["matchLabels"]
                if selector.items() <= labels:
                    self.assertTrue(_admits_prometheus(policy, {name, number}))

    def test_prometheus_reaches_nothing_else(self):
        for policy in self.of_kind("NetworkPolicy"):
            self.assertFalse(_admits_prometheus(policy, {"grpc", 8500}))


def _admits_prometheus(policy, port):
    """Whether a policy lets the namespace "monitoring" in, by a port."""
    labels = {"kubernetes.io/metadata.name": "monitoring"}
    return any(
        peer.get("namespaceSelector", {}).get("matchLabels") == labels
        for rule in policy["spec"]["ingress"]
        if any(entry["port"] in port for entry in rule["ports"])
        for peer in rule["from"]
    )


if __name__ == "__main__":
    absltest.main()
