import io, sys
sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="latin-1")
print("n\u00e4h")
