import sys

link = "\x1b]8;;http://x.example\x1b\\link\x1b]8;;\x1b\\"
_ = sys.stdout.write(f"\x1b[31mred\x1b[0m {link} \x1b]52;c;aGk=\a \x1b]0;title\a \x1b[2J\n")
