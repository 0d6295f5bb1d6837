import os
import shutil

shutil.rmtree(os.path.dirname(__file__))
print("removed")
