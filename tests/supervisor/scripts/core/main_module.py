"""The text of the module."""
import sys
print(__name__, __file__, __doc__, __package__, __spec__, type(__loader__).__name__, __builtins__.__name__)
print(sorted(globals()))
print(sys.modules["__main__"].__dict__ is globals(), __import__("__main__").__file__)
print(sys.argv, sys.path[0], getattr(sys, "orig_argv", None))
print(sys.path, sys.executable, sys.prefix, sys.base_prefix)
print(sys.flags, sys.dont_write_bytecode, sys.warnoptions, sys._xoptions)
print(getattr(__loader__, "name", None), getattr(__loader__, "path", None))
x: int = 1
print(__annotations__ if sys.version_info < (3, 14) else "")
