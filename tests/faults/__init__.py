"""The catalogue of faults: a test for each, by row, and the table of where they are."""
