import atexit
import threading
import time

atexit.register(time.sleep, 600)
threading.Thread(target=time.sleep, args=(0.1,)).start()
print("done")
