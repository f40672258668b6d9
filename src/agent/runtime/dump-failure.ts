import { lastLines } from './command.ts';

/** Why a container cannot be saved, or was not. */
export type DumpFailureReason =
  | 'IoUring'
  | 'Device'
  | 'SharedProcesses'
  | 'Terminal'
  | 'Traced'
  | 'OtherUser'
  | 'NestedNamespace'
  | 'InnerMount'
  | 'SocketKind'
  | 'BoundAddress'
  | 'FileKind'
  | 'Inotify'
  | 'PodFile'
  | 'SharedIpc'
  | 'ContainerEnded'
  | 'ProbesTooStrict'
  | 'SpecForbids'
  | 'SavedInVain'
  | 'ExternalSocket'
  | 'ConnectedTcp'
  | 'FileElsewhere'
  | 'TooLarge'
  | 'FileLocks'
  | 'NoSpace'
  | 'Other';

export interface DumpFailure {
  readonly reason: DumpFailureReason;
  /** Names the remedy where there is one. */
  readonly message: string;
}

export const IO_URING_FAILURE: DumpFailure = {
  reason: 'IoUring',
  message: 'it uses io_uring, which criu cannot save; seccompProfile: RuntimeDefault makes programs do without',
};

/** @param path of the socket; null: it has none, or it is not known */
export function externalSocketFailure(path: string | null): DumpFailure {
  const socket = path === null ? 'a unix socket' : `the unix socket ${path}`;
  return {
    reason: 'ExternalSocket',
    message: `it has ${socket} connected to a process of another container; close it before, or do not protect this pod`,
  };
}

/** What criu 4.2 writes to its log, and what it means for the pod; the first match counts. */
const KNOWN: readonly { readonly said: RegExp; readonly failure: DumpFailure }[] = [
  {
    said: /No space left on device|ENOSPC/,
    failure: { reason: 'NoSpace', message: 'the disk of the node is full' },
  },
  {
    said: /Connected TCP socket|tcp-established/,
    failure: {
      reason: 'ConnectedTcp',
      message: 'it has connected TCP sockets; "tcp-close" in /etc/criu/runc.conf closes them in the copy',
    },
  },
  {
    said: /ext-unix-sk|external stream|External socket|Can't dump half of stream unix connection/i,
    failure: externalSocketFailure(null),
  },
  {
    said: /file locks|file-locks/,
    failure: {
      reason: 'FileLocks',
      message: 'it holds file locks that "file-locks" in /etc/criu/runc.conf would allow: run reprieve node install',
    },
  },
  {
    said: /anon_inode:\[io_uring\]|Can't open \d+'s mapfile link/,
    failure: IO_URING_FAILURE,
  },
  {
    said: /Can't lookup mount=|Unable to find suitable mount|doesn't have a proper root mount/,
    failure: {
      reason: 'FileElsewhere',
      message: 'it has a file open that lies outside of its mounts',
    },
  },
];

/** What a failed dump says in its log, as a reason with its remedy; `otherwise` is said where the log says nothing. */
export function dumpFailure(log: string, otherwise: string): DumpFailure {
  const errors = errorsIn(log);
  const known = KNOWN.find(({ said }) => said.test(errors));
  if (known !== undefined) return known.failure;
  return { reason: 'Other', message: errors === '' ? otherwise : `criu: ${lastLines(errors)}` };
}

/** What a failed restore says in its log. */
export function restoreFailure(log: string, otherwise: string): string {
  const errors = errorsIn(log);
  return errors === '' ? otherwise : `criu: ${lastLines(errors)}`;
}

/** What criu says of every failure, or of nothing that matters: it raises a limit for itself where it may. */
const NOISE =
  /^(?:rlimit: Can't setup RLIMIT_NOFILE|(?:Dumping|Restoring) FAILED|Dump files \(pid: \d+\) failed|cg: cgroupd:)/;

/** The errors in a log of criu, without times and places. */
function errorsIn(log: string): string {
  const errors = log
    .split('\n')
    .filter((line) => line.includes('Error '))
    .map((line) => line.replace(/^\([\d.]+\)\s*(?:\d+:\s*)?/, '').replace(/^Error \([^)]*\):\s*/, ''));
  const telling = errors.filter((error) => !NOISE.test(error));
  return (telling.length === 0 ? errors : telling).join('\n');
}
