import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { arch, release } from 'node:os';
import type { RunCommand } from '../runtime/command.ts';

/** What decides whether the state of a process can go on elsewhere. Two nodes with equal facts are of one class. */
export interface NodeFacts {
  readonly architecture: string;
  /** Major and minor version: images of criu hold what a kernel offers. */
  readonly kernel: string;
  /** Digest of the CPU's feature flags: a program may have chosen its code by them. */
  readonly cpuFeatures: string;
  readonly runtime: string;
  readonly criu: string;
  /** Hierarchies of version 1, or the unified one. */
  readonly cgroups: 'v1' | 'v2';
}

/** The class of nodes with these facts, as a label value: readable where it can be, and a digest of all. */
export function compatibilityOf(facts: NodeFacts): string {
  const text = JSON.stringify(Object.entries(facts).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 10);
  return `${facts.architecture}-${facts.kernel}-${digest}`;
}

/** Rejects where the runtime or criu cannot be asked. */
export async function readFacts(run: RunCommand, runtimeCommand: string): Promise<NodeFacts> {
  const [runtime, criu, cpuinfo, cgroups] = await Promise.all([
    run(runtimeCommand, ['--version']),
    run('criu', ['--version']),
    readFile('/proc/cpuinfo', 'utf8'),
    readFile('/sys/fs/cgroup/cgroup.controllers', 'utf8').then(
      () => 'v2' as const,
      () => 'v1' as const,
    ),
  ]);
  const [, name = 'unknown', version = ''] = /^(\S+) version (\S+)/.exec(runtime.stdout) ?? [];
  return {
    architecture: ARCHITECTURES[arch()] ?? arch(),
    kernel: minorOf(release()),
    cpuFeatures: cpuFeaturesOf(cpuinfo),
    runtime: `${name} ${minorOf(version)}`,
    criu: minorOf(/Version: (\S+)/.exec(criu.stdout)?.[1] ?? ''),
    cgroups,
  };
}

/** Names of Go and of Kubernetes' labels. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  s390x: 's390x',
  ppc64: 'ppc64le',
};

/** `6.18.44-generic` -> `6.18` */
function minorOf(version: string): string {
  return /^\d+\.\d+/.exec(version)?.[0] ?? version;
}

/** The flags of all processors together, in no order: a hybrid CPU offers what its weakest core does. */
function cpuFeaturesOf(cpuinfo: string): string {
  const lists = [...cpuinfo.matchAll(/^(?:flags|Features)\s*:\s*(.*)$/gm)].map(([, flags = '']) => flags.split(/\s+/));
  const common = (lists[0] ?? []).filter((flag) => lists.every((list) => list.includes(flag)));
  return createHash('sha256').update(common.toSorted().join(' ')).digest('hex').slice(0, 16);
}
