import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Bits of linux/capability.h, and what each is needed for. */
const NEEDED = {
  CAP_CHOWN: [0, 'restored files keep their owners'],
  CAP_DAC_OVERRIDE: [1, 'files of any user are saved'],
  CAP_FOWNER: [3, 'restored files keep their modes'],
  CAP_FSETID: [4, 'restored files keep their modes'],
  CAP_KILL: [5, 'frozen processes are ended'],
  CAP_NET_ADMIN: [12, 'CRIU locks the network of the pod'],
  CAP_SYS_CHROOT: [18, 'files are packed in a root of their own'],
  CAP_SYS_PTRACE: [19, 'CRIU reads the memory of processes'],
  CAP_SYS_ADMIN: [21, 'CRIU enters namespaces'],
  CAP_SYS_RESOURCE: [24, 'CRIU reads the limits of processes of other users'],
  CAP_MKNOD: [27, 'deleted files of an image are saved as devices'],
  CAP_SETFCAP: [31, 'restored files keep their capabilities'],
} as const satisfies Readonly<Record<string, readonly [bit: number, use: string]>>;

type Capability = keyof typeof NEEDED;

/** Where the kernel shows processes: other than /proc in tests. */
const PROC = '/proc';

/**
 * The first capability that the agent needs and lacks, in words; null: it lacks none.
 *
 * CAP_SYS_RESOURCE is forgiven where the node itself lacks it, as in a container that plays a node: there pods of root can be saved
 * all the same, and {@link mayReadLimits} refuses the others one by one.
 */
export function missingRight(proc = PROC): string | null {
  for (const [name, [, use]] of Object.entries(NEEDED)) {
    const capability = name as Capability;
    if (has(capability, join(proc, 'self/status'), 'CapEff')) continue;
    if (capability === 'CAP_SYS_RESOURCE' && !has(capability, join(proc, '1/status'), 'CapBnd')) continue;
    return `the agent lacks ${capability}, with which ${use}: run it privileged`;
  }
  return null;
}

/** Whether CRIU may read the resource limits of any process when this agent starts it. */
export function mayReadLimits(proc = PROC): boolean {
  return has('CAP_SYS_RESOURCE', join(proc, 'self/status'), 'CapEff');
}

function has(capability: Capability, statusFile: string, set: 'CapEff' | 'CapBnd'): boolean {
  const status = readFileSync(statusFile, 'utf8');
  const mask = new RegExp(`^${set}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${mask}`) >> BigInt(NEEDED[capability][0])) & 1n) === 1n;
}
