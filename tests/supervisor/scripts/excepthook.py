import sys
def hook(kind, value, trace):
    print("hooked", kind.__name__, value, trace.tb_frame.f_code.co_name, trace.tb_next)
sys.excepthook = hook
raise ValueError("seen")
