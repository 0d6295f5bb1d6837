import os

with open("victim.txt", "w") as file:
    file.write("untouched")
os.symlink("victim.txt", "next.py")
print("planted")
