import os

os.mkfifo("next.py")
print("planted")
