import { join } from 'node:path';
import { IO_URING_FAILURE, type DumpFailure, type DumpFailureReason } from '../runtime/dump-failure.ts';
import { isConfigMount } from './config-files.ts';
import type { ContainerView } from './container-view.ts';
import { savedProcesses, textOf, type OpenFile, type Process } from './processes.ts';
import { changedRuntimeFile } from './runtime-files.ts';
import { mountOf } from './spec-mounts.ts';

type Found = string | null | Promise<string | null>;

/** Something that CRIU does not bring back: how it shows, in words that name the remedy. */
interface Kind {
  readonly reason: DumpFailureReason;
  /** Null: the container has nothing of this kind. */
  readonly find: (view: ContainerView) => Found;
}

/**
 * Every kind of thing that can be seen in a spec or in /proc and that does not come back. Descriptors, namespaces, mounts and
 * sockets are judged by what is known to come back: whatever else a kernel will have is refused.
 */
const KINDS: readonly Kind[] = [
  { reason: 'SharedProcesses', find: ({ container }) => sharedProcesses(container.spec) },
  {
    reason: 'Terminal',
    find: ({ container }) =>
      container.spec.process?.terminal === true ? 'it has a terminal; it must not set tty' : null,
  },
  { reason: 'Terminal', find: openCurrentTerminal },
  {
    reason: 'Traced',
    find: ({ processes }) => {
      const traced = processes.find(({ tracer }) => tracer !== 0);
      return traced ? `process ${traced.name} is being traced (strace, gdb); end the tracer` : null;
    },
  },
  {
    reason: 'OtherUser',
    find: ({ processes, mayReadLimits }) => {
      const other = mayReadLimits ? undefined : processes.find(({ isRoot }) => !isRoot);
      if (other === undefined) return null;
      return `process ${other.name} is not of root, and criu reads its limits only with CAP_SYS_RESOURCE, which this node lacks`;
    },
  },
  {
    reason: 'IoUring',
    find: ({ processes }) => (uses(processes, (target) => target === IO_URING) ? IO_URING_FAILURE.message : null),
  },
  {
    reason: 'Device',
    find: ({ processes }) => {
      const open = processes.flatMap(({ files }) =>
        files.filter(({ isDevice }) => isDevice).map(({ target }) => target),
      );
      const mapped = processes.flatMap((process) => process.mapped).map(withoutMark);
      const [path] = [...open, ...mapped].filter(isDevicePath).sort();
      return path
        ? `it uses the device ${path}, whose state criu cannot save; do not protect pods that use devices`
        : null;
    },
  },
  { reason: 'NestedNamespace', find: nestedNamespace },
  { reason: 'InnerMount', find: innerMount },
  {
    reason: 'SocketKind',
    find: ({ sockets }) => {
      const [kind] = sockets.unknown;
      if (kind === undefined) return null;
      const remedy = kind.startsWith('MPTCP') ? '; a Go program does without MPTCP with GODEBUG=multipathtcp=0' : '';
      return `it has a socket of kind ${kind}, which criu cannot save${remedy}`;
    },
  },
  { reason: 'BoundAddress', find: boundAddress },
  { reason: 'SocketKind', find: lostSocket },
  {
    reason: 'FileKind',
    find: ({ processes }) => {
      const odd = everyFile(processes).find(({ target }) => !isKnownTarget(target));
      return odd ? `it has ${odd.target} open, which criu cannot save` : null;
    },
  },
  { reason: 'Inotify', find: inotifyOnOverlay },
  { reason: 'Other', find: busyboxSleep },
  { reason: 'PodFile', find: podFile },
  { reason: 'PodFile', find: runtimeFile },
];

/** What is in the way of saving this container, in the order of the table. */
export async function obstaclesIn(view: ContainerView): Promise<readonly DumpFailure[]> {
  const found: DumpFailure[] = [];
  for (const { reason, find } of KINDS) {
    const message = await find(view);
    if (message !== null) found.push({ reason, message });
  }
  return found;
}

const IO_URING = 'anon_inode:[io_uring]';
/** Descriptors without a path that CRIU restores. The kernel writes inotify without brackets. */
const KNOWN_ANONYMOUS = /^anon_inode:\[?(?:eventfd|eventpoll|timerfd|signalfd|inotify|pidfd|io_uring)\]?$/;

function isKnownTarget(target: string): boolean {
  if (target.startsWith('/')) return !target.startsWith('/dev/mqueue/');
  return /^(?:pipe|socket):\[\d+\]$/.test(target) || KNOWN_ANONYMOUS.test(target);
}

function sharedProcesses({ linux }: ContainerView['container']['spec']): string | null {
  const processes = linux?.namespaces?.find(({ type }) => type === 'pid');
  if (processes === undefined) return 'it shares the process ids of the node; it must not set hostPID';
  if (!processes.path) return null;
  return 'its containers share their process ids; it must not set shareProcessNamespace';
}

/**
 * CRIU saves /dev/tty only where the process that has it open is also the first holder of the terminal behind it. That is the process
 * with the other end: tmux, screen, script, sshd (tty_verify_ctty in its criu/tty.c).
 */
function openCurrentTerminal({ container, processes }: ContainerView): string | null {
  const holder = savedProcesses(container.pid, processes).find(({ files }) =>
    files.some(({ target }) => target === '/dev/tty'),
  );
  if (holder === undefined) return null;
  const remedy = 'run programs there without a shell, or with bash, which does not keep /dev/tty open';
  return `process ${holder.name} has its terminal open as /dev/tty, as dash does at a prompt, and criu cannot save that; ${remedy}`;
}

function nestedNamespace({ container, processes }: ContainerView): string | null {
  const first = processes.find(({ pid }) => pid === container.pid) ?? processes[0];
  for (const { name, namespaces } of processes) {
    for (const [type, id] of namespaces) {
      const own = first?.namespaces.get(type);
      if (own === undefined || own === id) continue;
      return `process ${name} runs in a ${type} namespace of its own, which criu cannot save; turn the program's sandbox off`;
    }
  }
  return null;
}

/** File systems without a device behind them, which CRIU mounts again and fills. */
const MADE_ANEW = new Set(['tmpfs', 'proc', 'sysfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2']);

/** What a privileged container has mounted itself, or somebody has mounted into it. */
function innerMount({ container: { spec }, specMounts, mounts }: ContainerView): string | null {
  const known = new Set([
    '/',
    ...specMounts.map(({ place }) => place),
    ...(spec.linux?.maskedPaths ?? []),
    ...(spec.linux?.readonlyPaths ?? []),
  ]);
  const inner = mounts.find(({ mountPoint, fsType }) => !known.has(mountPoint) && !MADE_ANEW.has(fsType));
  return inner ? `${inner.mountPoint} was mounted after the container began, and would be missing` : null;
}

function boundAddress({ sockets }: ContainerView): string | null {
  const bound = sockets.known.find(
    ({ address, state, table }) =>
      !isAnyOrLoopback(address) && (state === 'listens' || (table.startsWith('udp') && state === 'other')),
  );
  if (bound === undefined) return null;
  const { address, port } = bound;
  return `it listens on ${address}:${port}, an address that the next pod does not have; let it listen on 0.0.0.0`;
}

function lostSocket({ sockets }: ContainerView): string | null {
  const [lost] = sockets.lost;
  if (lost === undefined) return null;
  return `the unix socket that it bound to ${lost.path} has another name now, or none, which criu does not know; let it keep the name`;
}

function isAnyOrLoopback(address: string): boolean {
  return /^(?:0\.0\.0\.0|127\..*|\[(?:0:){7}[01]\])$/.test(address);
}

/** CRIU finds a watched file by its handle, and overlayfs gives none that lasts. */
async function inotifyOnOverlay({ processes, mounts }: ContainerView): Promise<string | null> {
  const overlays = new Set(mounts.filter(({ fsType }) => fsType === 'overlay').map(({ device }) => device));
  for (const { name, folder, files } of processes) {
    for (const { fd } of files.filter(({ target }) => /^anon_inode:\[?inotify/.test(target))) {
      const info = await textOf(join(folder, 'fdinfo', fd));
      for (const [, sdev = ''] of info.matchAll(/^inotify .*\bsdev:([0-9a-f]+)/gm)) {
        const device = Number.parseInt(sdev, 16);
        if (!overlays.has(`${device >>> 20}:${device & 0xfffff}`)) continue;
        return `process ${name} watches files of the image (inotify), which criu cannot restore; let it watch a volume, or poll`;
      }
    }
  }
  return null;
}

/** A restored sleep is interrupted. That of coreutils sleeps on, that of busybox ends, and with it the container. */
function busyboxSleep({ container, processes }: ContainerView): string | null {
  const first = processes.find(({ pid }) => pid === container.pid);
  const isBusybox = first?.mapped.some((path) => path.endsWith('/busybox')) ?? false;
  if (first?.name !== 'sleep' || !isBusybox) return null;
  return 'its process 1 is the sleep of busybox, which ends when it is restored; let a shell wait in a loop';
}

/** Files that the kubelet writes for one pod. CRIU opens a file again only where it has the same size. */
const OF_ONE_POD = ['/etc/hosts', '/dev/termination-log'];

function podFile({ container, processes, specMounts }: ContainerView): string | null {
  const terminationLog = (container.spec.mounts ?? []).find(
    ({ source = '', destination }) =>
      source.includes(`/containers/${container.name}/`) &&
      source.includes('/pods/') &&
      !destination.startsWith('/etc/'),
  )?.destination;
  const own = new Set([...OF_ONE_POD, ...(terminationLog === undefined ? [] : [terminationLog])]);
  for (const { target } of everyFile(processes)) {
    if (own.has(target)) return `it has ${target} open, which differs in every pod; let it close the file after use`;
    const path = withoutMark(target);
    if (path === target || !isConfigMount(mountOf(specMounts, path))) continue;
    return `it has an older version of ${path} open, which the next pod does not have; let it read the file anew`;
  }
  return null;
}

async function runtimeFile({ container, processes, specMounts }: ContainerView): Promise<string | null> {
  const first = processes.find(({ pid }) => pid === container.pid) ?? processes[0];
  const path = first && (await changedRuntimeFile(first));
  // What the container has of itself is part of its root file system, which is saved.
  if (path == null || mountOf(specMounts, path) === undefined) return null;
  return `it has changed ${path}, which the next pod has as the runtime writes it; set it in the pod's spec (dnsConfig, hostname)`;
}

function uses(processes: readonly Process[], isMeant: (target: string) => boolean): boolean {
  return (
    everyFile(processes).some(({ target }) => isMeant(target)) || processes.some(({ mapped }) => mapped.some(isMeant))
  );
}

function everyFile(processes: readonly Process[]): readonly OpenFile[] {
  return processes.flatMap(({ files }) => files);
}

function withoutMark(path: string): string {
  return path.replace(/ \(deleted\)$/, '');
}

/** /dev/shm holds files, /dev/zero stands for shared memory without a name; the rest is in each container, or its own terminals. */
function isDevicePath(path: string): boolean {
  return (
    path.startsWith('/dev/') &&
    !/^\/dev\/(?:shm|mqueue|pts)\//.test(path) &&
    !/^\/dev\/(?:null|zero|full|random|urandom|tty|ptmx|console)$/.test(path)
  );
}
