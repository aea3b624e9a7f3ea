"""A class and a hand-in, told: one HTML page, how alike hand-ins are, and a result as text."""
