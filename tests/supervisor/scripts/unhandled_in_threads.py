import sys, threading, _thread, time
threading.excepthook = lambda args: print("hook", args.exc_type.__name__, args.thread.name)
def fail(): raise ValueError
one = threading.Thread(target=fail, name="named"); one.start(); one.join()
_thread.start_new_thread(time.sleep, (5,))
sys.exit("stop")
