import builtins, collections, sys, types
class Loud:
    def __init__(self, name): self.name = name
    def __del__(self): print("del", self.name)
builtins.kept, sys.kept = Loud("builtins"), Loud("sys")
module = types.ModuleType("extra"); module.thing = Loud("module")
sys.modules["extra"] = module
_a, b = Loud("a"), Loud("b")
def user(): return b
print("end")
