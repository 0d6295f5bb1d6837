import gc, locale, os, resource, signal, sys, time
print(os.getcwd(), oct(os.umask(0o22)), time.tzname, locale.getlocale(), locale.setlocale(locale.LC_ALL))
print(sorted(os.environ.items()))
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream, stream.fileno(), stream.isatty(), stream.errors, stream.line_buffering, stream.newlines,
          getattr(stream, "write_through", None), stream.readable(), stream.writable(), stream.seekable(),
          type(stream.buffer).__name__, stream.mode)
print(sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, repr(sys.stdin.buffer), repr(sys.stdout.buffer))
print(repr(sys.stdin.read()))
for number in sorted(signal.Signals):
    print(number, signal.getsignal(number))
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
print(sorted(os.listdir("/dev/fd")) if os.path.exists("/dev/fd") else "")
print(gc.isenabled(), gc.get_threshold(), sys.getrecursionlimit(), sys.getswitchinterval())
print([resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_STACK, resource.RLIMIT_AS)])
print(os.getsid(0) == os.getpgid(0), sys.getfilesystemencoding(), sys.getdefaultencoding())
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime < 1, used.ru_maxrss > 1000, time.process_time() < 1)
print(resource.getrusage(resource.RUSAGE_CHILDREN)[:3])
