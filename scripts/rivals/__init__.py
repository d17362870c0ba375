"""What a user would write instead of bnexp: one file each, timed by scripts/benchmark.py."""
