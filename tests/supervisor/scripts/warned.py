import warnings
warnings.warn("a user's"); warnings.warn("deprecated", DeprecationWarning)
def old(): warnings.warn("old", DeprecationWarning, stacklevel=2)
old(); old()
print(warnings.filters)
b"" == ""
"\d"
