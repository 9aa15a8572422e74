"""The benchmarks run: what they stand on is tested, what they find is not."""
