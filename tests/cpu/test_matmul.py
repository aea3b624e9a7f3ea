"""Products of few rows, which read B where it lies (c_src/cpu/few_rows.h), beside the reference."""

import itertools

import numpy as np
import pytest
from cpu_cases import needs_cpu  # noqa: F401

