"""Hypothesis without a stopwatch: on a busy machine a slow example is no failure."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("stages", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("stages")
