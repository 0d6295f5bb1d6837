import os
import time

for byte in "é€😀é€😀é€😀".encode():
    os.write(1, bytes([byte]))
    os.write(2, bytes([byte]))
    time.sleep(0.01)
