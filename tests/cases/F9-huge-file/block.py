print("begun", flush=True)
with open("big", "wb") as file:
    for piece in range(100):
        file.write(b"x" * 100_000)
