import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from llmfleet.metrics_api.front_proxy import FrontProxy, FrontProxyError, User, is_front_proxy, parse, user_of

DATA = {
    "requestheader-client-ca-file": "-----BEGIN CERTIFICATE-----\n...",
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User","X-User"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
}


def certificate(*common_names: str) -> dict[str, object]:
    return {"subject": (*((("commonName", name),) for name in common_names), (("organizationName", "front-proxy-client"),))}


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def test_the_config_map_says_how_the_aggregator_authenticates() -> None:
    assert parse(DATA) == FrontProxy(
        client_ca_pem="-----BEGIN CERTIFICATE-----\n...",
        allowed_names=frozenset({"front-proxy-client"}),
        username_headers=("X-Remote-User", "X-User"),
        group_headers=("X-Remote-Group",),
        extra_header_prefixes=("X-Remote-Extra-",),
    )


@pytest.mark.parametrize("data", [{}, DATA | {"requestheader-client-ca-file": ""}, DATA | {"requestheader-client-ca-file": "garbage"}])
def test_without_an_authority_nobody_can_be_believed(data: dict[str, str]) -> None:
    with pytest.raises(FrontProxyError, match="requestheader-client-ca-file"):
        parse(data)


@pytest.mark.parametrize("names", ["front-proxy-client", '"front-proxy-client"', "{}", "[1]", "null"])
def test_names_that_cannot_be_read_do_not_allow_every_name(names: str) -> None:
    with pytest.raises(FrontProxyError, match="requestheader-allowed-names"):
        parse(DATA | {"requestheader-allowed-names": names})


def test_only_the_common_name_counts() -> None:
    assert is_front_proxy(parse(DATA), certificate("front-proxy-client"))
    assert not is_front_proxy(parse(DATA), certificate("somebody-else"))
    assert not is_front_proxy(parse(DATA), certificate())


@pytest.mark.parametrize("nothing", [None, {}])
def test_without_a_certificate_even_an_empty_list_of_names_allows_nobody(nothing: dict[str, object] | None) -> None:
    assert not is_front_proxy(parse(DATA | {"requestheader-allowed-names": "[]"}), nothing)


def test_the_user_is_the_first_that_is_named_with_all_groups() -> None:
    asked = headers(("x-remote-group", "a"), ("X-User", "second"), ("X-Remote-Group", "b"), ("X-Remote-Extra-Scopes", "x"), ("x-remote-extra-scopes", "y"))
    assert user_of(parse(DATA), asked) == User("second", ("a", "b"), (("scopes", ("x", "y")),))


def test_no_name_is_nobody() -> None:
    assert user_of(parse(DATA), headers(("X-Remote-Group", "system:masters"), ("X-Remote-User", ""))) is None
