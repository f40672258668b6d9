import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { RuntimeContainer } from '../runtime/containers.ts';
import { ownerOfIpc, sharedSegments } from './system-v.ts';

const CONTAINERS = [1, 2, 3].map((pid) => ({ pid, name: `c${pid}` }) as RuntimeContainer);

let proc: string;
beforeEach(async () => {
  proc = await mkdtemp(join(tmpdir(), 'proc-'));
});
afterEach(() => rm(proc, { recursive: true }));

/** These containers have a segment attached. */
async function attach(
  ...pids: readonly number[]
): Promise<{ pids: (one: RuntimeContainer) => number[]; proc: string }> {
  for (const { pid } of CONTAINERS) {
    await mkdir(join(proc, String(pid)));
    const segment = '7f00-7f01 rw-s 00000000 00:01 32   /SYSV00005151 (deleted)\n';
    await writeFile(join(proc, `${pid}/maps`), pids.includes(pid) ? segment : '7f00-7f01 rw-p 00000000 00:00 0 \n');
  }
  return { pids: ({ pid }) => [pid], proc };
}

it('lets the container that has segments attached keep them for the pod, or else the first', async () => {
  expect(await ownerOfIpc(CONTAINERS, await attach())).toBe(CONTAINERS[0]);
  await rm(proc, { recursive: true });
  await mkdir(proc);
  const look = await attach(2);
  expect(await ownerOfIpc(CONTAINERS, look)).toBe(CONTAINERS[1]);
  expect(await sharedSegments(CONTAINERS, look)).toBeNull();
});

it('finds two that have some attached', async () => {
  expect(await sharedSegments(CONTAINERS, await attach(1, 3))).toEqual({
    reason: 'SharedIpc',
    message: expect.stringContaining('containers c1 and c3 have System V memory attached') as string,
  });
});
