"""Addresses of all servers."""

from ipaddress import ip_address

from promptlift.web.serving import reachable


def test_of_all_addresses_one_is_shown_that_others_can_open() -> None:
    assert reachable("127.0.0.1") == "127.0.0.1" and reachable("prompts") == "prompts"
    for host in ("0.0.0.0", "::"):
        assert not ip_address(reachable(host)).is_unspecified
