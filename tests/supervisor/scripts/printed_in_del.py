import sys
class Late:
    def __del__(self):
        print("stdout is", sys.stdout, "os is", __import__("os").name)
late = Late()
