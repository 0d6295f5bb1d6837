import signal

signal.signal(signal.SIGXCPU, signal.SIG_IGN)
print("begun", flush=True)
while True:
    pass
