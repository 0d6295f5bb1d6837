import os

found = []
for descriptor in range(3, 4096):
    try:
        os.write(descriptor, b"\xff" * 64)
        found.append((descriptor, os.readlink(f"/proc/self/fd/{descriptor}")))
    except OSError:
        pass
print(found)
