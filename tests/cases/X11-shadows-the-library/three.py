import sys

sys.modules.pop("json", None)
import json

print(json.said)
import shutil

shutil.rmtree("__pycache__", ignore_errors=True)
