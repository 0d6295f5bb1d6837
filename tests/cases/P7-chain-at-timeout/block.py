import os
import signal
import time

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
for chain in range(3):
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 100)
        while True:
            if os.fork():
                os._exit(0)
print("begun", flush=True)
time.sleep(60)
