import os
import time

for number in range(4):
    for descriptor, name in ((1, "o"), (2, "e")):
        os.write(descriptor, f"{name}{number}\n".encode())
        time.sleep(0.03)
