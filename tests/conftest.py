"""Settings of all tests."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("ci", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("long", parent=settings.get_profile("ci"), max_examples=3000)
settings.load_profile(os.environ.get("EMTC_TEST_PROFILE", "ci"))
