from comm import create_comm

one = create_comm(target_name="nobody", data={})
for number in range(6_000):
    one.send({"value": "x" * 1000, "number": number})
one.close()
print("done")
