import os
import socket
import stat

os.mkfifo("pipe")
try:
    os.mknod("device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
except PermissionError:
    os.mkfifo("device")  # who is not root can make none
socket.socket(socket.AF_UNIX).bind("socket")
with open("program", "w") as file:
    file.write("#!/bin/sh\n")
os.chmod("program", 0o6755)
