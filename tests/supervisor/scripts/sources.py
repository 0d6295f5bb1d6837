import inspect, linecache, pickle, runpy, ast
class Here:
    def method(self): return 1
print(inspect.getsource(Here), inspect.getfile(Here) == __file__, inspect.getmodule(Here))
print(pickle.loads(pickle.dumps(Here())).__class__, pickle.dumps(Here))
print(linecache.getline(__file__, 2))
print(runpy.run_path(__file__, run_name="other")["Here"].__module__ if __name__ == "__main__" else "inner")
