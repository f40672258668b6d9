import asyncio

from facts import tell

answers = ticks = children = 0
PATH = '/tmp/asyncio.sock'


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()


async def ask(session):
    global answers
    reader, writer = await asyncio.open_unix_connection(PATH)
    while True:
        writer.write(f'hello from {session}\n'.encode())
        assert await reader.readline() == f'HELLO FROM {session}\n'.encode()
        answers += 1
        await asyncio.sleep(0.02)


async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.05)


async def run_children():
    global children
    while True:
        child = await asyncio.create_subprocess_exec('sleep', '0.2')
        if await child.wait() == 0:
            children += 1


async def main():
    server = await asyncio.start_unix_server(serve, PATH)
    tasks = [asyncio.create_task(task) for task in (tick(), run_children(), *(ask(n) for n in range(4)))]
    while all(not task.done() for task in tasks):
        tell(answers=answers, ticks=ticks, children=children, session=id(server))
        await asyncio.sleep(0.1)
    await asyncio.gather(*tasks)


asyncio.run(main())
