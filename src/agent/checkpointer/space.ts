import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isTooLarge, type CheckpointRules } from '../../domain/checkpoint-rules.ts';
import { cgroupOf, memoryBytesOf } from '../runtime/cgroup.ts';
import { BULK_LIMIT_MS, CommandError, type RunCommand } from '../runtime/command.ts';

/** How much a dump may write. */
export interface SpaceEstimate {
  /** What criu writes of the memory of the processes. */
  readonly memoryBytes: number;
  /** What they changed on their root filesystems, and what is in their volumes. */
  readonly fileBytes: number;
}

export interface SpaceQuestion {
  /** A process of each container. */
  readonly pids: readonly number[];
  /** All processes of the pod. */
  readonly processes: readonly number[];
  /** Other than /proc in tests. */
  readonly proc?: string;
  /** Upper folders of root filesystems, volumes, shared memory. */
  readonly folders: readonly string[];
  readonly run: RunCommand;
  readonly signal?: AbortSignal | undefined;
}

export async function estimateSpace({
  pids,
  processes,
  folders,
  run,
  signal,
  proc = '/proc',
}: SpaceQuestion): Promise<SpaceEstimate> {
  const written = await Promise.all(processes.map((pid) => writtenBytes(join(proc, String(pid)))));
  return {
    // Where the kernel does not sum up mappings, that of the cgroup is the best there is.
    memoryBytes: Math.max(sum(written), sum(pids.map(memoryOf))),
    fileBytes: folders.length === 0 ? 0 : await diskUsage(folders, run, signal),
  };
}

/**
 * What criu writes of one process: pages that are its own, also those that it shares with its parent since a fork, and its share of
 * shared memory. A cgroup counts the former once, however many processes have them. 0 for a process that is gone.
 */
async function writtenBytes(folder: string): Promise<number> {
  const text = await readFile(join(folder, 'smaps_rollup'), 'utf8').catch(() => '');
  const kibibytes = [...text.matchAll(/^(?:Anonymous|Swap|Pss_Shmem): +(\d+) kB$/gm)].map(([, number]) =>
    Number(number),
  );
  return 1024 * sum(kibibytes);
}

/** What the container of a process holds in memory; 0 where nobody counts. */
export function memoryOf(pid: number): number {
  const cgroup = cgroupOf(pid, 'memory');
  return cgroup === null ? 0 : (memoryBytesOf(cgroup) ?? 0);
}

/** Null where the rules allow a state of that size; otherwise a message with the numbers. */
export function excessOf({ memoryBytes, fileBytes }: SpaceEstimate, rules: CheckpointRules): string | null {
  if (!isTooLarge(memoryBytes + fileBytes, rules)) return null;
  const parts = `${mebibytes(memoryBytes)} of memory and ${mebibytes(fileBytes)} of files`;
  return `the pod has up to ${parts}, and its checkpoint may have ${mebibytes(rules.maxBytes)}`;
}

/** Null when there is room, and `keepFreeBytes` remain; otherwise a message with the numbers. */
export function lackOfSpace(
  { memoryBytes, fileBytes }: SpaceEstimate,
  { freeBytes, keepFreeBytes }: { readonly freeBytes: number; readonly keepFreeBytes: number },
): string | null {
  if (memoryBytes + fileBytes + keepFreeBytes <= freeBytes) return null;
  const parts = `${mebibytes(memoryBytes)} of memory and ${mebibytes(fileBytes)} of files`;
  return `the pod has up to ${parts}, and ${mebibytes(freeBytes)} are free, of which ${mebibytes(keepFreeBytes)} are to remain`;
}

/**
 * Whether a dump that failed would have found no room for the rest of what it had to write. Of what a full disk refuses, some
 * blocks may be free again afterwards, so a disk is not asked whether it is full to the last.
 */
export function ranFull(
  { memoryBytes, fileBytes }: SpaceEstimate,
  {
    writtenBytes,
    freeBytes,
    keepFreeBytes,
  }: { readonly writtenBytes: number; readonly freeBytes: number; readonly keepFreeBytes: number },
): boolean {
  return freeBytes < Math.max(keepFreeBytes, memoryBytes + fileBytes - writtenBytes);
}

/** du ends so when files went while it looked; its sums are of what it saw. */
const SOME_FILES_GONE = 1;

/** Allocated bytes, each file once. */
export async function diskUsage(folders: readonly string[], run: RunCommand, signal?: AbortSignal): Promise<number> {
  const args = ['--summarize', '--one-file-system', '--block-size=1', '--', ...folders];
  const { stdout } = await run('du', args, { signal, limitMs: BULK_LIMIT_MS }).catch((error: unknown) => {
    if (error instanceof CommandError && error.exitCode === SOME_FILES_GONE) return error;
    throw error;
  });
  return sum(stdout.split('\n').map((line) => Number.parseInt(line, 10) || 0));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

export function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 ** 2)} MiB`;
}
