for number in range(20_000):
    open(f"{number}.txt", "w").close()
