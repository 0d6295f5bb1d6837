import atexit
import builtins
import sys


class Late:
    def __init__(self, name):
        self.name = name

    def __del__(self, sys=sys):
        print(self.name, sys.is_finalizing())
        try:
            open("/dev/null").close()
            print("opened")
        except NameError as error:
            print(error)


late = Late("late")
builtins.mine = Late("in builtins")
atexit.register(lambda: print("atexit", sys.is_finalizing(), open("/dev/null").closed))
