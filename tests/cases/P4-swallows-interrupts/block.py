import time

print("begun", flush=True)
while True:
    try:
        time.sleep(60)
    except BaseException as error:
        print(type(error).__name__, flush=True)
