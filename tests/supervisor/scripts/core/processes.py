import multiprocessing, os, sys
class Point:
    def __init__(self, x):
        self.x = x
def double(point):
    return Point(point.x * 2)
def where(queue):
    queue.put((__name__ != "", os.path.basename(sys.argv[0])[-3:], sys.path[0], os.getcwd()))
def fail():
    raise ValueError("in a child")
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            print(method, [point.x for point in pool.map(double, map(Point, range(5)))])
        queue = context.Queue()
        child = context.Process(target=where, args=(queue,))
        child.start()
        print(queue.get())
        child.join()
        child = context.Process(target=fail, name="failing")
        child.start(); child.join()
        print(child.exitcode)
