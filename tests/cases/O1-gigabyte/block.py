import os

os.write(1, b"begin")
for piece in range(@PIECES@):
    left = memoryview(65_535 * b"x" + b"\n")
    while left:
        left = left[os.write(1, left) :]
assert os.write(1, b"end") == 3
