"""A8 draws no cases of its own: its checks are those of the conformance kit, and a clock."""
