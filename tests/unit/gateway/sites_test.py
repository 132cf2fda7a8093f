"""Tests of how a gateway tells its own page from those of other sites."""

from absl.testing import absltest
from hypothesis import given
from hypothesis import strategies
from kerasrnn_serving.gateway.access import sites
from kerasrnn_serving.gateway.errors import ApiError
from starlette.datastructures import Headers

NAMES = strategies.sampled_from(
    ("localhost", "a.example", "b.example", "127.0.0.1", "[::1]", "[::2]")
)
PORTS = strategies.sampled_from((None, 80, 443, 8080))
SCHEMES = strategies.sampled_from(("http", "https"))
HOSTS = strategies.tuples(NAMES, PORTS)
# What a header can hold, with much of what addresses are made of.
TEXTS = strategies.text(
    strategies.sampled_from("[]:/@%.,;a1 ")
    | strategies.characters(max_codepoint=255)
)


def written(host):
    name, port = host
    return name if port is None else f"{name}:{port}"


def refused(check, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        check(Headers(names))
    except ApiError as error:
        return error.code
    return None


class SitesTest(absltest.TestCase):
    @given(SCHEMES, HOSTS, HOSTS)
    def test_a_page_is_of_the_host_that_it_asks(self, scheme, page, asked):
        default = {"http": 80, "https": 443}[scheme]
        same = [(name, port or default) for name, port in (page, asked)]
        origin = f"{scheme}://{written(page)}"
        expected = None if same[0] == same[1] else "other_site"
        check = sites.refuse_other_sites
        host = written(asked)
        self.assertEqual(refused(check, origin=origin, host=host), expected)
        forwarded = refused(check, origin=origin, x_forwarded_host=host)
        self.assertEqual(forwarded, expected)

    @given(TEXTS, TEXTS)
    def test_any_text_is_answered_or_refused(self, origin, host):
        code = refused(sites.refuse_other_sites, origin=origin, host=host)
        self.assertIn(code, (None, "other_site"))
        code = refused(sites.refuse_other_hosts, host=host)
        self.assertIn(code, (None, "other_host"))


if __name__ == "__main__":
    absltest.main()
