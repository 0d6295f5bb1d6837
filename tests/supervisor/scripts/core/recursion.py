import sys
import traceback
deepest = 0
def fall(depth):
    global deepest
    deepest = depth
    fall(depth + 1)
try:
    fall(1)
except RecursionError as error:
    # Up to Python 3.11 the interpreter counts calls of C's, too: not to the last level.
    print(abs(sys.getrecursionlimit() - deepest) < 12, error, sys.getrecursionlimit())
    traceback.print_exc(limit=2)
class Mirror:
    def __repr__(self):
        return repr(self)
try:
    repr(Mirror())
except RecursionError as error:
    print(type(error))
