def outer():
    try:
        {}["key"]
    except KeyError as error:
        try:
            int("x")
        except ValueError:
            raise RuntimeError("both") from error
class Odd(Exception):
    def __str__(self):
        raise TypeError("no text")
try:
    outer()
finally:
    raise Odd()
