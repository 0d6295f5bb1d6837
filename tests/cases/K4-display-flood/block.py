handle = display({"text/plain": "first"}, raw=True, display_id=True)
for number in range(6_000):
    handle.update({"text/plain": f"update {number}"}, raw=True)
for number in range(6_000):
    display({"text/plain": f"display {number}", "text/html": "x" * 3000}, raw=True)
