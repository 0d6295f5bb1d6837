# filename: named.py
print("never")
