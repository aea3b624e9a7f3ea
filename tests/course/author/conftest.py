"""The kit of the small assignment, made once for a test."""

import pytest


@pytest.fixture
def kit(small):
    from etude_course.run.pack import kit_of

    return kit_of(small)
