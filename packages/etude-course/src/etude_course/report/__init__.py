"""The report on a class: one HTML page, and how alike hand-ins are. Names can be withheld."""
