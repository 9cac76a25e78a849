from __future__ import annotations

import os

from hypothesis import settings

# `make test` explores a little at every run, `make ci` more.
settings.register_profile("test", max_examples=60, deadline=None)
settings.register_profile("ci", max_examples=1_000, deadline=None)
settings.load_profile(os.environ.get("TEST_PROFILE", "test"))
