import atexit
import os
import sys


def profile(frame, event, argument):
    name = os.path.basename(frame.f_code.co_filename)
    if event == "call" and name != "threading.py":  # which only an interpreter that has it calls at its end
        os.write(1, f"{event} {frame.f_code.co_name} {name}\n".encode())


@atexit.register
def at_exit():
    print("exit function")


sys.setprofile(profile)
