"""The gateway before a real export: what the API promises of states."""

import pathlib
import tarfile
import tempfile

import openai
from absl.testing import absltest
from helpers.servers.gateway_process import GatewayProcess
from helpers.servers.serving_process import ServerProcess
from helpers.sources.repository import ROOT

GOLDEN = ROOT / "tests" / "data" / "golden" / "0.1.0" / "export.tar.gz"


class ExportedModelTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        with tarfile.open(GOLDEN) as archive:
            archive.extractall(directory.name, filter="data")
        (saved,) = pathlib.Path(directory.name).rglob("saved_model.pb")
        server = ServerProcess(saved.parent.parent)
        cls.addClassCleanup(server.close)
        gateway = GatewayProcess(server.target)
        cls.addClassCleanup(gateway.close)
        cls.openai = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="-")
        cls.addClassCleanup(cls.openai.close)

    def create(self, prompt="", state=None, **fields):
        fields = {"model": "kerasrnn", "seed": 7, "max_tokens": 60} | fields
        (choice,) = self.openai.completions.create(
            prompt=prompt, extra_body={"state": state}, **fields
        ).choices
        return choice

    def test_two_halves_are_the_whole(self):
        whole = self.create("to be", max_tokens=100)
        first = self.create("to be", max_tokens=40)
        rest = self.create("", first.state, max_tokens=60)
        self.assertEqual(first.text + rest.text, whole.text)
        self.assertEqual(rest.state, whole.state)

    def test_a_state_stands_for_the_text_so_far(self):
        first = self.create("to be", temperature=0, max_tokens=40)
        by_state = self.create(" or", first.state, temperature=0)
        by_text = self.create("to be" + first.text + " or", temperature=0)
        self.assertEqual(by_state.text, by_text.text)

    def test_a_state_after_any_of_several_stop_strings(self):
        whole = self.create("to be", max_tokens=300).text
        # One that ends within a piece, one that lies across two.
        for stop in (whole[20:22], whole[62:67]):
            end = whole.index(stop) + len(stop)
            for others in ([], ["\x00 never", "\x01 never"]):
                choice = self.create(
                    "to be", max_tokens=300, stop=[stop, *others]
                )
                self.assertEqual(choice.text + stop, whole[:end])
                rest = self.create("", choice.state, max_tokens=30)
                self.assertEqual(rest.text, whole[end : end + 30])

    def test_a_stop_string_that_began_before_the_state(self):
        whole = self.create("to be", max_tokens=300).text
        for begin, size, cut in ((8, 2, 1), (20, 12, 11), (62, 9, 2)):
            stop = whole[begin : begin + size]
            self.assertEqual(whole.index(stop), begin)
            seam = begin + cut
            begun = self.create(
                "to be", max_tokens=300, stop=whole[seam - 6 : seam]
            )
            self.assertEqual(begun.text + begun.stop_reason, whole[:seam])
            for others in ([], ["\x00 never", "\x01"]):
                for options in ({}, {"logprobs": 0}):
                    rest = self.create(
                        "", begun.state, stop=[*others, stop], **options
                    )
                    # What of the string came before was given out.
                    self.assertEqual(rest.text, "")
                    self.assertEqual(rest.finish_reason, "stop")
                    self.assertEqual(rest.stop_reason, stop)
                    end = begin + size
                    after = self.create("", rest.state, max_tokens=30)
                    self.assertEqual(after.text, whole[end : end + 30])

    def test_the_first_stop_string_ends_a_text_wherever_it_began(self):
        whole = self.create("to be", max_tokens=300).text
        begun = self.create("to be", max_tokens=300, stop=whole[18:20])
        inside, across = whole[22:24], whole[17:26]
        self.assertEqual(whole.index(across), 17)
        for stops, text, stop in (
            ([across, inside], whole[20:22], inside),
            ([inside, whole[17:24]], "", whole[17:24]),
            ([inside, whole[17:23]], "", whole[17:23]),
        ):
            rest = self.create("", begun.state, max_tokens=300, stop=stops)
            self.assertEqual((rest.text, rest.stop_reason), (text, stop))

    def test_a_prompt_ends_what_was_written_before_it(self):
        begun = self.create("to be", max_tokens=8, stop="\n")
        for stops in (["\n\n"], ["\n\n", "\x00 never"]):
            fields = {"max_tokens": 100, "seed": 8}
            plain = self.create("x", begun.state, **fields)
            rest = self.create("x", begun.state, stop=stops, **fields)
            self.assertEqual(rest.text, plain.text.split("\n\n")[0])

    def test_log_probs_are_those_of_the_text_read_again(self):
        written = self.create("to be", logprobs=0, echo=True)
        read = self.create(written.text, logprobs=0, echo=True, max_tokens=0)
        self.assertEqual(written.text, read.text)
        self.assertEqual(written.logprobs.tokens, list(read.text))
        both = (written.logprobs, read.logprobs)
        # None of what the vocabulary lacks.
        for ours, theirs in zip(*(b.token_logprobs for b in both), strict=True):
            self.assertAlmostEqual(ours or 0, theirs or 0, places=3)

    def test_an_export_without_alternatives(self):
        with self.assertRaisesRegex(openai.BadRequestError, "logprobs=0"):
            self.create("to be", logprobs=1)


if __name__ == "__main__":
    absltest.main()
