import { join } from 'node:path';
import type { RuntimeContainer } from '../runtime/containers.ts';
import type { DumpFailure } from '../runtime/dump-failure.ts';
import { textOf } from './processes.ts';

interface Look {
  readonly pids: (container: RuntimeContainer) => readonly number[];
  /** Other than /proc in tests. */
  readonly proc?: string;
}

/**
 * The containers of a pod share one IPC namespace. CRIU finds a segment of System V memory that a process has attached only in the
 * images of the same container, and makes each segment once: no two containers can have any attached.
 */
export async function sharedSegments(containers: readonly RuntimeContainer[], look: Look): Promise<DumpFailure | null> {
  const [first, second] = await attached(containers, look);
  if (first === undefined || second === undefined) return null;
  const message = `containers ${first.name} and ${second.name} have System V memory attached, which criu restores for one of them only; share an emptyDir with medium: Memory`;
  return { reason: 'SharedIpc', message };
}

/** The container whose images keep the System V objects of the pod. */
export async function ownerOfIpc(
  containers: readonly RuntimeContainer[],
  look: Look,
): Promise<RuntimeContainer | undefined> {
  const [owner] = await attached(containers, look);
  return owner ?? containers[0];
}

async function attached(
  containers: readonly RuntimeContainer[],
  { pids, proc = '/proc' }: Look,
): Promise<readonly RuntimeContainer[]> {
  const found = await Promise.all(
    containers.map(async (container) => {
      const maps = await Promise.all(pids(container).map((pid) => textOf(join(proc, String(pid), 'maps'))));
      return maps.some((text) => /^(?:\S+ +){5}\/SYSV/m.test(text)) ? [container] : [];
    }),
  );
  return found.flat();
}
