import os
import time

for chain in range(3):
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 100)
        while True:
            if os.fork():
                os._exit(0)
time.sleep(0.2)
print("done")
