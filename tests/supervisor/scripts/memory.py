import gc, sys, tracemalloc
gc.collect()
kept = [[] for _ in range(5000)]
for item in kept: item.append(item)
del kept, item
print(gc.collect() >= 5000, gc.isenabled(), len(gc.garbage), gc.callbacks, gc.get_debug())
tracemalloc.start(); x = bytes(1000000); print(tracemalloc.get_traced_memory()[0] >= 1000000)
