import os

os.symlink("/nowhere/at/all", "next.py")
print("planted")
