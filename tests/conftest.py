"""Settings of all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from emtc_agent.detector import load_bundle

settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("long", parent=settings.get_profile("ci"), max_examples=3000)
settings.load_profile(os.environ.get("EMTC_TEST_PROFILE", "ci"))


@pytest.fixture(scope="session")
def model():
    """A small trained model."""
    from models import small_model  # not at the top: runtimes are also tested where there is no trainer

    return small_model()


@pytest.fixture(scope="session")
def bundle_file(request, tmp_path_factory):
    """A good bundle of that model, or the one that EMTC_TEST_BUNDLE names."""
    if "EMTC_TEST_BUNDLE" in os.environ:
        return Path(os.environ["EMTC_TEST_BUNDLE"])
    from emtc_export import tflite_model
    from emtc_export.build import Label, build

    path = tmp_path_factory.mktemp("bundle") / "small.bundle"
    label = Label("small", 3, "2026-01-01")
    build(request.getfixturevalue("model"), path, label, lambda _: None, tflite=tflite_model.installed())
    return path


@pytest.fixture(scope="session")
def bundle(bundle_file):
    """That bundle, loaded."""
    return load_bundle(bundle_file)
