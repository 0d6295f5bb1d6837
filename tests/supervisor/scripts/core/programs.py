import os, subprocess, sys
print(subprocess.run([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE).stdout)
print(subprocess.run("exit 3", shell=True).returncode, os.system("kill -9 $$"))
subprocess.run(["sh", "-c", "echo to stdout; echo to stderr >&2"])
sub = subprocess.Popen([sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT) is "
    "signal.default_int_handler, signal.getsignal(signal.SIGPIPE), signal.pthread_sigmask(0, []))"])
print(sub.wait())
print(subprocess.run(["sh", "-c", "yes | head -1"], stderr=subprocess.PIPE))
try:
    subprocess.run(["sleep", "9"], timeout=0.05)
except subprocess.TimeoutExpired as error:
    print(str(error)[:40])
