import asyncio
async def worker(): await asyncio.sleep(60)
async def main():
    asyncio.create_task(worker()); raise KeyError("main")
try: asyncio.run(main())
except KeyError as error: print(repr(error))
loop = asyncio.new_event_loop()
future = loop.create_future(); future.set_exception(ValueError("never retrieved"))
del future
loop.close()
