# filename: next.py
print("never")
