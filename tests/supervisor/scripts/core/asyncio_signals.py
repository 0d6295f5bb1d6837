import asyncio, os, signal
async def main():
    loop = asyncio.get_running_loop()
    got = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, got.set)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(got.wait(), 5)
    process = await asyncio.create_subprocess_exec("echo", "from a child", stdout=asyncio.subprocess.PIPE)
    print(await process.communicate(), await loop.run_in_executor(None, os.getcwd))
asyncio.run(main())
async def broken():
    raise ValueError("in a coroutine")
async def never():
    pass
never()
asyncio.run(broken())
