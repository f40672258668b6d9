import { mayHave, type ContainerRights } from './container-rights.ts';
import { ImageRefused, type Message } from './decode.ts';

/** fd_types of CRIU that come back: descriptors of anything else reach beyond the container. */
const KINDS = new Map([
  [1, 'reg'],
  [2, 'pipe'],
  [3, 'fifo'],
  [4, 'isk'],
  [5, 'usk'],
  [6, 'efd'],
  [7, 'epfd'],
  [8, 'ify'],
  [9, 'sgfd'],
  [10, 'psk'],
  [11, 'tty'],
  [13, 'nlsk'],
  [17, 'tfd'],
  [18, 'memfd'],
  [20, 'pidfd'],
]);
const OTHERS: Readonly<Record<number, string>> = {
  12: 'fanotify',
  14: 'a namespace',
  15: 'a tun device',
  16: 'a file from outside of the container',
  19: 'a BPF map',
};

export function checkDescriptor(entry: Message): void {
  checkKind(entry.number('type'));
}

function checkKind(type: number): void {
  if (!KINDS.has(type))
    throw new ImageRefused(`a process has ${OTHERS[type] ?? `a descriptor of the unknown kind ${type}`} open`);
}

interface FilesContext {
  /** Ids of the mounts of the container. */
  readonly mounts: ReadonlySet<number>;
  /** Ids of entries that no process has open: second names of files. */
  readonly names: ReadonlySet<number>;
}

/** What a process has open or mapped: an entry of files.img. */
export function checkFile(rights: ContainerRights, entry: Message, context: FilesContext): void {
  const type = entry.number('type');
  checkKind(type);
  const kind = KINDS.get(type) as string;
  // CRIU reads the field of the type, and we check each.
  const file = entry.message(kind === 'reg' || kind === 'isk' || kind === 'nlsk' || kind === 'usk' ? kind : 'none');
  if (kind === 'reg') checkRegular(rights, file, context);
  if (kind === 'isk') checkInternet(rights, file);
  if (kind === 'nlsk') checkNetlink(file);
  if (kind === 'psk' && !mayHave(rights, 'CAP_NET_RAW')) {
    throw new ImageRefused('a process has a packet socket, and the container may not have one (CAP_NET_RAW)');
  }
  if (kind === 'usk' && ((file?.number('uflags') ?? 0) & EXTERNAL_SOCKET) !== 0) {
    throw new ImageRefused('a process has a unix socket that leads out of the container');
  }
  checkSocketOptions(rights, file?.message('opts'));
}

const MODE = { kind: 0o170000, character: 0o020000, block: 0o060000, special: 0o6000, regular: 0o100000 } as const;
/** USK_EXTERN, USK_SERVICE and USK_CALLBACK of CRIU. */
const EXTERNAL_SOCKET = 7;
/** In every container, whatever its spec says. */
const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'ptmx', 'console', 'pts/ptmx'].map(
  (name) => `/dev/${name}`,
);

const NO_MOUNT = -1;

function checkRegular({ spec }: ContainerRights, file: Message | undefined, { mounts, names }: FilesContext): void {
  const name = file?.text('name') ?? '';
  if (file === undefined || name.split('/').includes('..'))
    throw new ImageRefused('a process has a file without a plain path open');
  // Without one CRIU takes the path as it is within the container: the second name of a file that has lost its first.
  const mount = file.has('mnt_id') ? file.number('mnt_id') : NO_MOUNT;
  if (mount !== NO_MOUNT && !mounts.has(mount))
    throw new ImageRefused(`a process has ${name} open, on a mount that is not there`);
  const kind = file.number('mode') & MODE.kind;
  if (kind === 0 && names.has(file.number('id'))) return;
  if (kind === 0) throw new ImageRefused(`a process has ${name} open, and what kind of file it is, is not known`);
  const devices = [...DEVICES, ...(spec.linux?.devices ?? []).map(({ path }) => path)];
  if (kind === MODE.block || (kind === MODE.character && !devices.includes(name) && !name.startsWith('/dev/pts/'))) {
    throw new ImageRefused(`a process has the device ${name} open, and the container has none`);
  }
}

const SOCK_RAW = 3;

function checkInternet(rights: ContainerRights, socket: Message | undefined): void {
  if (socket?.number('type') === SOCK_RAW && !mayHave(rights, 'CAP_NET_RAW')) {
    throw new ImageRefused('a process has a raw socket, and the container may not have one (CAP_NET_RAW)');
  }
}

/** NETLINK_ROUTE, NETLINK_KOBJECT_UEVENT, NETLINK_GENERIC: what every process may open. */
const FREE_PROTOCOLS = new Set([0, 15, 16]);

function checkNetlink(socket: Message | undefined): void {
  if (!FREE_PROTOCOLS.has(socket?.number('protocol') ?? -1)) {
    throw new ImageRefused(`a process has a netlink socket of protocol ${socket?.number('protocol')}`);
  }
}

/** The highest priority that a socket has without CAP_NET_ADMIN. */
const MOST_PRIORITY = 6;

function checkSocketOptions(rights: ContainerRights, options: Message | undefined): void {
  if (options === undefined || mayHave(rights, 'CAP_NET_ADMIN')) return;
  if (options.number('so_mark') !== 0)
    throw new ImageRefused('a process has a socket with a mark, which takes CAP_NET_ADMIN');
  if (options.number('so_priority') > MOST_PRIORITY)
    throw new ImageRefused('a process has a socket with a priority that takes CAP_NET_ADMIN');
}

/** A file without a name, which CRIU makes anew, as root. */
export function checkGhost(entry: Message): void {
  const mode = entry.number('mode');
  if ([MODE.character as number, MODE.block].includes(mode & MODE.kind)) throw new ImageRefused('it makes a device');
  if ((mode & MODE.kind) === MODE.regular && (mode & MODE.special) !== 0)
    throw new ImageRefused('it makes a file with the setuid or setgid bit');
}

const TTY = { pty: 1, current: 4 } as const;

export function checkTerminal(entry: Message): void {
  const type = entry.number('type');
  if (type !== TTY.pty && type !== TTY.current) throw new ImageRefused('a process has a terminal of the node open');
}
