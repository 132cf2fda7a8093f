"""The gateway's files for Docker and Kubernetes, against schemas and itself."""

import re

import kubernetes_validate
import yaml
from absl.testing import absltest
from absl.testing import parameterized
from helpers.processes.flags_of_programs import flags_of
from helpers.sources.repository import ROOT
from kerasrnn_serving.gateway.records import PROBES
from kerasrnn_serving.gateway.settings import Settings

_DOCKER = ROOT / "serving" / "docker"
_FOLDER = ROOT / "serving" / "kubernetes" / "gateway"
_VERSIONS = ("1.30", kubernetes_validate.latest_version())


def documents():
    """Returns the documents by kind."""
    return {
        document["kind"]: document
        for path in sorted(_FOLDER.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
    }


class DeploymentTest(parameterized.TestCase):
    @parameterized.parameters(*_VERSIONS)
    def test_every_document_is_as_the_schema_says(self, version):
        self.assertCountEqual(
            documents(),
            [
                "Deployment",
                "HorizontalPodAutoscaler",
                "Ingress",
                "PodDisruptionBudget",
                "Service",
            ],
        )
        for document in documents().values():
            kubernetes_validate.validate(document, version, strict=True)

    def test_the_gateway_has_the_flags_that_it_is_given(self):
        compose = yaml.safe_load((_DOCKER / "compose.yaml").read_text())
        pod = documents()["Deployment"]["spec"]["template"]["spec"]
        for arguments in (
            compose["services"]["gateway"]["command"],
            pod["containers"][0]["args"],
        ):
            for argument in arguments:
                name = argument.removeprefix("--").partition("=")[0]
                self.assertIn(name, flags_of("kerasrnn-gateway"))

    def test_parts_find_each_other(self):
        found = documents()
        deployment = found["Deployment"]
        template = deployment["spec"]["template"]
        labels = template["metadata"]["labels"]
        self.assertEqual(
            found["Service"]["spec"]["selector"].items() - labels.items(), set()
        )
        # As the servers' policy asks for.
        policy = (ROOT / "serving/kubernetes/service.yaml").read_text()
        self.assertIn('kerasrnn-client: "true"', policy)
        self.assertEqual(labels["kerasrnn-client"], "true")
        self.assertEqual(
            found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"],
            deployment["metadata"]["name"],
        )
        for rule in found["Ingress"]["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                self.assertEqual(
                    path["backend"]["service"]["name"],
                    found["Service"]["metadata"]["name"],
                )

    def test_a_replica_is_given_the_time_to_drain(self):
        pod = documents()["Deployment"]["spec"]["template"]["spec"]
        sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        self.assertGreater(
            pod["terminationGracePeriodSeconds"],
            sleep + Settings().drain_seconds,
        )

    def test_prometheus_reads_what_the_services_offer(self):
        compose = yaml.safe_load((_DOCKER / "compose.yaml").read_text())
        services = compose["services"]
        (volume,) = services["prometheus"]["volumes"]
        found = yaml.safe_load((_DOCKER / volume["source"]).read_text())
        monitoring = (_DOCKER / "monitoring.config").read_text()
        offered = {"serving": re.findall('path: "(.*)"', monitoring)}
        offered["gateway"] = list(PROBES)
        targets = []
        for job in found["scrape_configs"]:
            (static,) = job["static_configs"]
            (target,) = static["targets"]
            service, _, port = target.partition(":")
            targets.append(service)
            self.assertIn(job["metrics_path"], offered[service])
            ports = services[service]["ports"]
            self.assertIn(f"127.0.0.1:{port}:{port}", ports)
        self.assertCountEqual(targets, offered)
        self.assertCountEqual(targets, services["prometheus"]["depends_on"])

    def test_the_autoscaler_s_metric_is_one_of_the_gateway_s(self):
        (metric,) = documents()["HorizontalPodAutoscaler"]["spec"]["metrics"]
        name = metric["pods"]["metric"]["name"]
        source = ROOT / "serving/kerasrnn_serving/gateway/records.py"
        self.assertStartsWith(name, "kerasrnn_gateway_")
        self.assertIn(
            f'"{name.removeprefix("kerasrnn_gateway_")}"', source.read_text()
        )


if __name__ == "__main__":
    absltest.main()
