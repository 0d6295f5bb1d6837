import threading, time, traceback
def late():
    time.sleep(0.05)
    print("late", threading.main_thread().is_alive())
    traceback.print_stack()
def failing():
    raise OSError("in a thread")
def forever():
    while True:
        time.sleep(0.01)
print(threading.current_thread().name, threading.active_count(), threading.current_thread() is threading.main_thread())
threading.Thread(target=forever, daemon=True).start()
one = threading.Thread(target=failing, name="one"); one.start(); one.join()
threading.Thread(target=late, name="late").start()
print("end")
