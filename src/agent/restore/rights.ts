import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { IPC_SETTINGS } from '../images/check-images.ts';
import { CHECKED_LIMITS, UNLIMITED, type ContainerRights } from '../images/container-rights.ts';
import type { RunCommand } from '../runtime/command.ts';
import type { OciSpec } from '../runtime/oci-spec.ts';

export interface RightsOptions {
  readonly spec: OciSpec;
  /** The wrapper that waits for the answer, as `/proc` knows it: the runtime that it becomes has the same limits. Null: not known. */
  readonly wrapper: number | null;
  readonly run: RunCommand;
}

/** What the container that is being made may have, by its spec, by the runtime that makes it and by the IPC namespace of its pod. */
export async function rightsOf({ spec, wrapper, run }: RightsOptions): Promise<ContainerRights> {
  const folder = `/proc/${wrapper ?? 'self'}`;
  const [limits, stat, loginuid] = await Promise.all(
    ['limits', 'stat', 'loginuid'].map((file) => readFile(`${folder}/${file}`, 'utf8').catch(() => '')),
  );
  const ipc = spec.linux?.namespaces?.find(({ type }) => type === 'ipc')?.path;
  return {
    spec,
    runtime: {
      nice: Number(stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[NICE_FIELD] ?? 0),
      loginuid: Number(loginuid || NO_LOGINUID),
      limits: new Map([...CHECKED_LIMITS].map(([resource, line]) => [resource, hardLimit(limits ?? '', line)])),
    },
    ipc: ipc ? await ipcSettings(ipc, run) : null,
    exists: existsSync,
  };
}

/** proc_pid_stat(5) counts it as 19; the first two are cut off. */
const NICE_FIELD = 16;
const NO_LOGINUID = 0xffffffff;

/** `Max locked memory         8388608              8388608              bytes`: the second number. */
function hardLimit(limits: string, line: string): number {
  const [, hard = '0'] = new RegExp(`^${line} +\\S+ +(\\S+)`, 'm').exec(limits) ?? [];
  return hard === 'unlimited' ? UNLIMITED : Number(hard);
}

/** /proc/sys shows those of the namespace of the process that looks. */
async function ipcSettings(namespace: string, run: RunCommand): Promise<readonly number[]> {
  const files = IPC_SETTINGS.map((file) => `/proc/sys/${file}`);
  const { stdout } = await run('nsenter', [`--ipc=${namespace}`, 'cat', ...files]);
  return stdout.trim().split(/\s+/).map(Number);
}
