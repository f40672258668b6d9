import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Runs `work` while no other process of this machine runs work under the same name. The lock is a socket in Linux's
 * abstract name space: binding is atomic, and the kernel frees the name when its holder dies, so there is never a stale lock.
 */
export async function withLock<T>(name: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const address = `\0reprieve-${createHash('sha256').update(name).digest('hex')}`;
  const server = createServer((socket) => socket.destroy());
  for (;;) {
    try {
      await once(server.listen(address), 'listening');
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      await sleep(500, undefined, signal ? { signal } : {});
    }
  }
  try {
    return await work();
  } finally {
    server.close();
  }
}
