import os

print("before", flush=True)
os.execvp("bash", ["bash", "-c", "echo after; exit 9"])
