"""Settings of all tests."""

import os

import pytest
from hypothesis import HealthCheck, settings

from emtc_agent.detector import load_bundle
from emtc_export.build import Label, build
from models import small_model

settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("long", parent=settings.get_profile("ci"), max_examples=3000)
settings.load_profile(os.environ.get("EMTC_TEST_PROFILE", "ci"))


@pytest.fixture(scope="session")
def model():
    """A small trained model."""
    return small_model()


@pytest.fixture(scope="session")
def bundle_file(model, tmp_path_factory):
    """A good bundle of that model."""
    path = tmp_path_factory.mktemp("bundle") / "small.bundle"
    build(model, path, Label("small", 3, "2026-01-01"), lambda _: None)
    return path


@pytest.fixture(scope="session")
def bundle(bundle_file):
    """That bundle, loaded."""
    return load_bundle(bundle_file)
