"""The maker of bundles that gateways of these tests trust."""

import pytest

from model_updates import Maker


@pytest.fixture(scope="session")
def maker(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("maker"))
