import faulthandler, inspect, logging, sys, traceback, warnings
traceback.print_stack()
print(len(inspect.stack()), [frame.filename for frame in inspect.stack()], sys.exc_info())
for level in (1, 2, 3):
    warnings.warn("level %d" % level, stacklevel=level)
def inner():
    warnings.warn("from a function", stacklevel=2)
    warnings.warn("beyond it", stacklevel=3)
    traceback.print_stack()
    try:
        sys._getframe(2)
    except ValueError as error:
        print(error)
inner()
logging.basicConfig(format="%(filename)s %(lineno)d %(funcName)s %(message)s")
logging.warning("with the stack", stack_info=True)
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("with the error")
    print([frame.name for frame in traceback.extract_stack()])
faulthandler.dump_traceback(sys.stderr)
for name in ("last_type", "last_value", "last_traceback", "last_exc"):
    print(name, hasattr(sys, name))
print(sys.excepthook is sys.__excepthook__, sys.gettrace(), sys.getprofile())
