print("begun", flush=True)
try:
    with open("full", "wb") as file:
        file.write(b"x" * 1_000_000)
finally:
    import os

    os.remove("full")
