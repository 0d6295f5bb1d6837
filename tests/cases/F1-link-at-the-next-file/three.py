import os

os.mkdir("real")
os.symlink("real", "sub")
print("planted")
