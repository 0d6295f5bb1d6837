import sys

text = "a\0b\x01\x02\a\b\t\v\f\r\x1f\x7f\x80\u2028\u2029\ufeff\uffff\n"
sys.stdout.buffer.write(text.encode())
