from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
import time
def square(x): return x * x
def slow(): time.sleep(0.05); print("slow is done")
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        print(list(pool.map(square, range(5))))
    ThreadPoolExecutor(1).submit(slow)
    print("end")
