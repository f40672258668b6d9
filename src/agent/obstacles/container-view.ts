import { join } from 'node:path';
import { mayReadLimits } from '../probe/agent-rights.ts';
import type { RunCommand } from '../runtime/command.ts';
import type { RuntimeContainer } from '../runtime/containers.ts';
import { parseMountinfo, type Mount } from '../runtime/mountinfo.ts';
import { readProcess, textOf, type Process } from './processes.ts';
import { specMounts, type SpecMount } from './spec-mounts.ts';
import { heldSockets, type HeldSockets } from './sockets.ts';

/** A container at one look: its spec, and what its processes hold. */
export interface ContainerView {
  readonly container: RuntimeContainer;
  readonly processes: readonly Process[];
  /** Those of its spec, and those that its first process has. */
  readonly specMounts: readonly SpecMount[];
  readonly mounts: readonly Mount[];
  readonly sockets: HeldSockets;
  /** Whether CRIU may read the limits of processes of other users here. */
  readonly mayReadLimits: boolean;
}

export interface LookOptions {
  readonly container: RuntimeContainer;
  /** Of all its processes. */
  readonly pids: readonly number[];
  readonly run: RunCommand;
  /** Other than /proc in tests. */
  readonly proc?: string;
  /** Other than that of this agent in tests. */
  readonly mayReadLimits?: boolean;
}

export async function viewOf({
  container,
  pids,
  run,
  proc = '/proc',
  mayReadLimits: mayRead = mayReadLimits(),
}: LookOptions): Promise<ContainerView> {
  const processes = await Promise.all(pids.map((pid) => readProcess(pid, proc)));
  const first = container.pid === 0 ? (pids[0] ?? 0) : container.pid;
  return {
    container,
    processes,
    specMounts: await specMounts(container, join(proc, String(first), 'root')),
    mounts: parseMountinfo(await textOf(join(proc, String(first), 'mountinfo'))),
    sockets: await heldSockets(processes, { run, proc }),
    mayReadLimits: mayRead,
  };
}
