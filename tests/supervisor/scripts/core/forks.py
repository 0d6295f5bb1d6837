import atexit, os, sys
atexit.register(lambda: print("exit of", "parent" if os.getpid() == parent else "child"))
parent = os.getpid()
pid = os.fork()
if pid == 0:
    print("child"); sys.exit(3)
print(os.waitpid(pid, 0)[1])
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
