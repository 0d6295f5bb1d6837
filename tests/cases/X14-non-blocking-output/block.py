import fcntl
import os
import select

for descriptor in (0, 1, 2):
    os.set_blocking(descriptor, False)
fcntl.fcntl(1, 1031, 4096)
left = memoryview(b"x" * 1_000_000)
while left:
    try:
        left = left[os.write(1, left) :]
    except BlockingIOError:
        select.select([], [1], [])
