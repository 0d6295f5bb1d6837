import sys

assert "seen" not in globals()
seen = True
sys.stdout.write("a")
