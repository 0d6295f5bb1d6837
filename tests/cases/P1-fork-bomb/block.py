import os
import signal
import time

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("begun", flush=True)
for generation in range(9):
    os.fork()
if os.getpid() != os.getsid(0):
    os.setsid()
while True:
    time.sleep(1)
