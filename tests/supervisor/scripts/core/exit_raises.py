import atexit
def bad():
    raise ValueError("in an exit function")
def worse():
    raise SystemExit(7)
atexit.register(print, "last")
atexit.register(bad)
atexit.register(worse)
print("end")
