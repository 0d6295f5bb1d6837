import atexit, gc, threading, time, traceback, weakref
class Loud:
    def __init__(self, name):
        self.name = name
    def __del__(self):
        print("del", self.name)
        traceback.print_stack()
class Failing:
    def __del__(self):
        raise ValueError("in __del__")
def bye(text):
    print("atexit", text)
    traceback.print_stack()
atexit.register(bye, "first")
atexit.register(bye, "second")
_private, public = Loud("private"), Loud("public")
cycle = Loud("cycle"); cycle.me = cycle
failing = Failing()
class Thing: pass
thing = Thing()
weakref.finalize(thing, print, "finalized")
left_open = open("left_open.txt", "w")
left_open.write("not flushed")
print("end", gc.isenabled())
