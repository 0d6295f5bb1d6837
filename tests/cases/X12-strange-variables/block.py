import os
import sys

print([path for path in sys.path if path == "/nowhere"], os.environ["PYTHONHASHSEED"], repr(os.environ["HOME"]))
