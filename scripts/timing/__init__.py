"""What scripts/benchmark.py measures, aims at and shows."""
