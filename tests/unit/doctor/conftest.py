"""What several tests of the doctor share."""

import pytest

from certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate authority whose certificates are as RFC 5280 wants them."""
    return Authority(tmp_path_factory.mktemp("authority") / "good")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """Another one."""
    return Authority(tmp_path_factory.mktemp("authority") / "stranger", "stranger")
