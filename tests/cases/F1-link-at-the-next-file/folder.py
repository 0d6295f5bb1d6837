# filename: sub/next.py
print("never")
