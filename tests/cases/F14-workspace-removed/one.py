import os
import shutil

shutil.rmtree(os.getcwd())
print("removed")
