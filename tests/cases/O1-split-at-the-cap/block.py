import sys

sys.stdout.write("€" * 5_000_000)
