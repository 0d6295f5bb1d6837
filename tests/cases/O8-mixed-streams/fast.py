import os

for number in range(20_000):
    os.write(1 + number % 2, b"%05d\n" % number + b"xxxxxx")
