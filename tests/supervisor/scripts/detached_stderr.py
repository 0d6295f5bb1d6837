import sys

print("result")
sys.stderr.detach()
