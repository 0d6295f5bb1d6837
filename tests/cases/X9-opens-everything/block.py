import os
import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),) * 2)
held = []
while True:
    held.append(os.open("/dev/null", os.O_RDONLY))
