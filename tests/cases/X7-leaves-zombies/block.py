import os

for number in range(2000):
    if os.fork() == 0:
        os._exit(0)
print(number + 1)
