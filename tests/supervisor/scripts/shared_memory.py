from multiprocessing import Manager, shared_memory
if __name__ == "__main__":
    with Manager() as manager:
        print(manager.list([1, 2]))
    block = shared_memory.SharedMemory(create=True, size=10)
    print(block.size >= 10)
    block.close(); block.unlink()
