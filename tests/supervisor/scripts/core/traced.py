import sys
import threading

seen = []


def trace(frame, event, argument):
    print("trace", event, frame.f_code.co_name, frame.f_code.co_filename == __file__)
    return None


def profile(frame, event, argument):
    name = frame.f_code.co_name if event in ("call", "return") else getattr(argument, "__name__", "?")
    seen.append((event, name))


class Told:
    def __del__(self):
        print("gone")


def work():
    return threading.main_thread().native_id == threading.get_native_id()


told = Told()
sys.settrace(trace)
print(work())
sys.settrace(None)
sys.setprofile(profile)
print(work())
sys.setprofile(None)
print([name for name in seen if name[1] in ("work", "print")])
if len(sys.argv) < 2:
    sys.settrace(trace)
