import sys

_ = sys.stdout.write("€" * @COUNT@)
