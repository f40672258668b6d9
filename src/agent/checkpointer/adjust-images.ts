import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BoundSocket } from '../runtime/socket-names.ts';
import { emptied, messageOf, messagesIn, numberOf, setNumber, setText, textOf, type Field } from './criu-image.ts';

/** Numbers of fields in the images of CRIU (images/*.proto); `FILE_ENTRY`: which field holds what is of that type. */
const FILE_ENTRY = { inetSocket: 4, timerfd: 12, unixSocket: 16 } as const;
const TIMERFD = { valueSeconds: 7, valueNanoseconds: 8, intervalSeconds: 9, intervalNanoseconds: 10 } as const;
const INET_SOCKET = { type: 4, state: 6, sourceAddress: 11 } as const;
const UNIX_SOCKET = { inode: 2, state: 4, name: 11, isDeleted: 15 } as const;
const SOCK_DGRAM = 2;
const TCP_ESTABLISHED = 1; // CRIU calls a connected socket of datagrams the same
const LISTENS = 10;

export interface AdjustOptions {
  /** Where the images of one container are. */
  readonly folder: string;
  /** The System V objects of the pod come back with this container. */
  readonly ownsIpc: boolean;
  /** Where a unix socket is now; null: not known. The path is as it was bound. */
  readonly presentPath: (socket: BoundSocket) => Promise<string | null>;
}

/** Changes in the images of a container what CRIU would bring back wrongly, or not at all, in another pod. */
export async function adjustImages({ folder, ownsIpc, presentPath }: AdjustOptions): Promise<void> {
  const files = join(folder, 'files.img');
  const image = await readFile(files).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return Buffer.alloc(0); // no process has a file
    throw error;
  });
  let isChanged = false;
  for (const message of messagesIn(image)) {
    const timer = messageOf(image, message, FILE_ENTRY.timerfd);
    const socket = messageOf(image, message, FILE_ENTRY.inetSocket);
    if (timer !== undefined && rearm(image, timer)) isChanged = true;
    if (socket !== undefined && unbind(image, socket)) isChanged = true;
    const listener = messageOf(image, message, FILE_ENTRY.unixSocket);
    if (listener !== undefined && (await rename(image, listener, presentPath))) isChanged = true;
  }
  if (isChanged) await writeFile(files, image);
  if (!ownsIpc) await emptyIpc(folder);
}

/** A periodic timer that ran out while its process stood frozen has nothing left to wait: set to that, it would be off. */
function rearm(image: Buffer, timer: readonly Field[]): boolean {
  const isOff = numberOf(timer, TIMERFD.valueSeconds) === 0 && numberOf(timer, TIMERFD.valueNanoseconds) === 0;
  const isPeriodic =
    numberOf(timer, TIMERFD.intervalSeconds) !== 0 || numberOf(timer, TIMERFD.intervalNanoseconds) !== 0;
  const value = timer.find(({ number }) => number === TIMERFD.valueNanoseconds);
  if (!isOff || !isPeriodic || value === undefined) return false;
  setNumber(image, value, 1);
  return true;
}

/** The address of a connected socket of datagrams was the pod's: the kernel chooses one again when CRIU connects it. */
function unbind(image: Buffer, socket: readonly Field[]): boolean {
  const isConnected = numberOf(socket, INET_SOCKET.state) === TCP_ESTABLISHED;
  if (numberOf(socket, INET_SOCKET.type) !== SOCK_DGRAM || !isConnected) return false;
  for (const part of socket.filter(({ number }) => number === INET_SOCKET.sourceAddress)) setNumber(image, part, 0);
  return true;
}

/** CRIU binds a socket to its first name, where nobody looks for one that was renamed. A longer name does not fit, and is refused beforehand. */
async function rename(
  image: Buffer,
  socket: readonly Field[],
  presentPath: AdjustOptions['presentPath'],
): Promise<boolean> {
  const name = socket.find(({ number }) => number === UNIX_SOCKET.name);
  const path = textOf(image, socket, UNIX_SOCKET.name).replace(/\0+$/, '');
  if (name === undefined || numberOf(socket, UNIX_SOCKET.state) !== LISTENS || !path.startsWith('/')) return false;
  const present = await presentPath({ inode: numberOf(socket, UNIX_SOCKET.inode), path });
  if (present === null || present === path || Buffer.byteLength(present) > Buffer.byteLength(path)) return false;
  setText(image, name, present);
  // A first name that was linked to the second and removed: CRIU would remove the second as well.
  const isDeleted = socket.find(({ number }) => number === UNIX_SOCKET.isDeleted);
  if (isDeleted !== undefined) setNumber(image, isDeleted, 0);
  return true;
}

/** The containers of a pod share one IPC namespace, and CRIU saves it with each of them: the second could not be restored. */
async function emptyIpc(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!/^ipcns-(?:shm|sem|msg)-\d+\.img$/.test(name)) continue;
    await writeFile(join(folder, name), emptied(await readFile(join(folder, name))));
  }
}
