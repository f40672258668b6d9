import { once } from 'node:events';
import { createServer } from 'node:net';

/** The ports of one control plane. They stay the same when one of its programs is restarted. */
export interface Ports {
  readonly etcdClient: number;
  readonly etcdPeer: number;
  readonly apiServer: number;
  readonly controllerManager: number;
  readonly scheduler: number;
}

/**
 * Below 32768, where Linux starts to take the ports of outgoing connections: otherwise a client could sit on the port
 * of a server that is being restarted.
 */
const firstPort = 21_000;
const lastPort = 32_000;
const blockSize = 10;

let nextBlock = firstPort;

/** A block of free ports; never the same twice in this process. */
export async function takePorts(): Promise<Ports> {
  while (nextBlock < lastPort) {
    const first = nextBlock;
    nextBlock += blockSize;
    const ports = {
      etcdClient: first,
      etcdPeer: first + 1,
      apiServer: first + 2,
      controllerManager: first + 3,
      scheduler: first + 4,
    };
    const free = await Promise.all(Object.values(ports).map(isFree));
    if (free.every(Boolean)) return ports;
  }
  throw new Error(`no block of free ports between ${firstPort} and ${lastPort}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port), 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
