import os

os.symlink("/etc/passwd", "passwd")
os.symlink("/etc", "folder")
os.symlink("..", "up")
with open("hard.txt", "w") as file:
    file.write("mine")
