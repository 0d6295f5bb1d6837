import warnings
warnings.simplefilter("always")
import tempfile
left = open(__file__)
class Keeper:
    pass
keeper = Keeper(); keeper.file = open(__file__); keeper.me = keeper
tempfile._RandomNameSequence.__next__ = lambda self: "name"
folder = tempfile.TemporaryDirectory(prefix="fixed", dir=".")
print("end")
del left
