import signal, time, traceback
def ring(number, frame):
    print(number, frame.f_lineno)
    traceback.print_stack()
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.02)
signal.pause()
signal.signal(signal.SIGALRM, signal.SIG_DFL)
