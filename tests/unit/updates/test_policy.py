"""Which announcements are taken: newer versions of models that are meant for this gateway."""

import msgspec
import pytest

from emtc_agent.updates.config import UpdateConfig
from emtc_agent.updates.policy import Held, is_in_use, require_wanted
from emtc_agent.updates.record import Identity
from emtc_contract.errors import InputError
from model_updates import announced

ONE = msgspec.structs.replace(announced(bytes(5_000)), version=12)
SHIPPED = Identity("m", 10, "0")
IN_USE = Identity("m", 11, "1")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (Held(None, SHIPPED, {}), None),
        (Held(IN_USE, SHIPPED, {}), None),
        (Held(IN_USE, None, {"m": 11}), None),
        (Held(Identity("m", 12, "1"), None, {}), "not newer than 12, which is here"),
        (Held(SHIPPED, Identity("m", 13, "1"), {}), "not newer than 13, which is here"),
        (Held(SHIPPED, SHIPPED, {"m": 12}), "not newer than 12, which was used"),
        (Held(SHIPPED, SHIPPED, {"m": 13}), "not newer than 13, which was used"),
        (Held(SHIPPED, SHIPPED, {"m": 12}, lost=ONE.sha256), None),
        (Held(SHIPPED, SHIPPED, {"m": 13}, lost=ONE.sha256), "not newer than 13"),
        (Held(Identity("n", 1, "1"), SHIPPED, {}), None),
        (Held(Identity("n", 1, "1"), None, {}), "model 'm'; taken are 'n'"),
        (Held(None, None, {}), "taken are none"),
    ],
)
def test_newer_versions_of_models_that_are_here(held, said):
    if said is None:
        require_wanted(ONE, held, UpdateConfig())
    else:
        with pytest.raises(InputError, match=said):
            require_wanted(ONE, held, UpdateConfig())


def test_configured_names_count_instead():
    require_wanted(ONE, Held(Identity("n", 99, "1"), None, {}), UpdateConfig(names=("m",)))
    with pytest.raises(InputError, match="taken are 'other'"):
        require_wanted(ONE, Held(IN_USE, SHIPPED, {}), UpdateConfig(names=("other",)))


def test_large_bundles_and_unsafe_urls_are_refused():
    with pytest.raises(InputError, match="5000 bytes, taken are at most 4999"):
        require_wanted(ONE, Held(IN_USE, None, {}), UpdateConfig(max_bytes=4_999))
    linked = msgspec.structs.replace(announced(bytes(5_000), url="http://192.0.2.1/x"), version=12)
    with pytest.raises(InputError, match="without TLS"):
        require_wanted(linked, Held(IN_USE, None, {}), UpdateConfig())


def test_what_is_in_use_is_recognised_by_its_content():
    assert is_in_use(ONE, Held(Identity("m", 12, ONE.sha256), None, {}))
    assert not is_in_use(ONE, Held(Identity("m", 12, "1"), None, {}))
    assert not is_in_use(ONE, Held(None, None, {}))
