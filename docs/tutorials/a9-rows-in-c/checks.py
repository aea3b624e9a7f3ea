"""A9 has no cases of its own: the conformance kit draws them."""
