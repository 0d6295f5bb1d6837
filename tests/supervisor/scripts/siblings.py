import sys
import sibling
print(sibling.__file__, sibling.value, "sibling" in sys.modules)
import output, files, run
