import sys
class Tee:
    def __init__(self, stream):
        self.stream, self.kept = stream, []
    def write(self, text):
        self.kept.append(text)
    def flush(self):
        self.stream.write("".join(self.kept)); self.kept.clear()
sys.stdout = Tee(sys.stdout)
print("kept until the end")
