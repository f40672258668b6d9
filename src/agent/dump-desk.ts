import type { AgentConfiguration } from '../config/configuration.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../ports/clock.ts';
import type { Dump, DumpProgress } from './orders/savable-pod.ts';
import type { DumpRequest } from './pods/pod-processes.ts';
import type { RunCommand } from './runtime/command.ts';
import type { RuntimeContainer } from './runtime/containers.ts';
import { imageOf } from './runtime/image.ts';
import { overlayAt, readMounts } from './runtime/mountinfo.ts';
import type { Runc } from './runtime/runc.ts';
import { dumpPod } from './state/dump.ts';
import type { FileStamps } from './state/file-stamps.ts';
import { SavedPodLayout } from './state/layout.ts';
import { emptyDirs, isEmpty, sharedMemory } from './state/pod-folders.ts';
import { SizeLimit } from './state/size-limit.ts';
import { diskUsage, estimateSpace, excessOf, freeBytes, lackOfSpace, ranFull } from './state/space.ts';

/** How much the newest dump counts in the speed that is told; and what is too small to say anything about the disk. */
const NEWEST_SHARE = 0.3;
const TELLING_BYTES = 32 * 1024 * 1024;

export interface DumpDeskOptions {
  readonly settings: Pick<AgentConfiguration, 'stateDir' | 'kubeletDir' | 'reserveBytes' | 'runtime'>;
  readonly runc: Runc;
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of the files that were written and hashed here. */
  readonly stamps: FileStamps;
  /** Class of this node; null: not known. */
  readonly compatibility: () => string | null;
}

/** Collects what belongs to a pod, sees whether there is room, and has it written to the disk. */
export class DumpDesk {
  readonly #options: DumpDeskOptions;
  readonly #underWay = new Map<string, { readonly folder: string; readonly expectedBytes: number }>(); // key -> its dump
  #bytesPerSecond: number | null = null;

  constructor(options: DumpDeskOptions) {
    this.#options = options;
  }

  /** Of the dumps so far, the newest more than the others; null before the first. */
  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  /** How far the dump under `key` is; null where none writes. */
  async progress(key: string): Promise<DumpProgress | null> {
    const dump = this.#underWay.get(key);
    if (dump === undefined) return null;
    const { folder, expectedBytes } = dump;
    return { writtenBytes: await diskUsage([folder], this.#options.run), expectedBytes };
  }

  async dump(
    { pod, key, rules, token, longestFreezeMs }: DumpRequest,
    containers: readonly RuntimeContainer[],
    stop: AbortSignal,
  ): Promise<Dump> {
    const { runc, run, clock, log, compatibility, stamps, settings } = this.#options;
    const { stateDir, kubeletDir } = settings;
    const startedMs = clock.monotonic();
    const layout = SavedPodLayout.of(stateDir, key);
    await layout.clear(); // an earlier process may have begun it
    const mounts = await readMounts();
    const volumes = rules.volumes === 'None' ? null : await emptyDirs(kubeletDir, pod.uid);
    const shared = containers.map(sharedMemory).find((source) => source !== null) ?? null;
    const shm = volumes === null || shared === null || (await isEmpty(shared)) ? null : shared;
    const uppers = containers.flatMap(({ bundle }) => overlayAt(mounts, `${bundle}/rootfs`)?.upperdir ?? []);
    const estimate = await estimateSpace({
      pids: containers.map(({ pid }) => pid),
      folders: [...uppers, ...(volumes ?? []).map(({ path }) => path), ...(shm === null ? [] : [shm])],
      run,
      signal: stop,
    });
    const room = { freeBytes: await freeBytes(stateDir), keepFreeBytes: settings.reserveBytes };
    const lack = lackOfSpace(estimate, room);
    if (lack !== null) return { failure: { reason: 'NoSpace', message: lack } };
    const excess = excessOf(estimate, rules);
    if (excess !== null) return { failure: { reason: 'TooLarge', message: excess } };
    const seconds = (estimate.memoryBytes + estimate.fileBytes) / (this.#bytesPerSecond ?? Infinity);
    if (longestFreezeMs !== null && seconds * 1000 > longestFreezeMs) {
      const message = `saving it takes about ${seconds.toFixed(0)} s, and its liveness probes allow ${longestFreezeMs / 1000} s`;
      return { failure: { reason: 'ProbesEnd', message } };
    }
    const preparedMs = clock.monotonic();
    const { folder } = layout;
    this.#underWay.set(key, { folder, expectedBytes: estimate.memoryBytes + estimate.fileBytes });
    const limit = new SizeLimit({ folder: layout.folder, rules, run, clock });
    const dumping = dumpPod({
      containers,
      layout,
      runc,
      run,
      mounts,
      volumes,
      shm,
      pod,
      takenAt: new Date(clock.now()),
      compatibility: compatibility(),
      images: () => this.#imagesOf(containers),
      clock,
      token,
      signal: AbortSignal.any([stop, limit.exceeded]),
    });
    const report = await dumping.catch((error: unknown) => error as Error).finally(() => limit.end());
    this.#underWay.delete(key);
    if (report instanceof Error && stop.aborted) throw report;
    const tooLarge = report instanceof Error ? limit.failure : limit.judge(report.bytes);
    if (tooLarge !== null) return { failure: tooLarge };
    if (report instanceof Error) {
      // On a full disk criu cannot even log why it failed.
      const left = await freeBytes(stateDir);
      const writtenBytes = await diskUsage([layout.folder], run).catch(() => 0);
      const after = { writtenBytes, freeBytes: left, keepFreeBytes: settings.reserveBytes };
      if (!ranFull(estimate, after)) throw report;
      return {
        failure: { reason: 'NoSpace', message: `the disk ran full (${left} bytes are free): ${report.message}` },
      };
    }
    await stamps.remember(layout, report.manifest);
    this.#measured(report.bytes, (clock.monotonic() - startedMs) / 1000);
    const ms = { prepare: preparedMs - startedMs, ...report.timings };
    log.info({ pod: pod.name, namespace: pod.namespace, reference: key, bytes: report.bytes, ms }, 'saved');
    const images = new Map(report.manifest.containers.map(({ name, image }) => [name, image]));
    const saved = report.containers.map(({ name, bytes }) => ({
      name,
      bytes,
      imageDigest: images.get(name) as string,
    }));
    return { failure: null, saved: { containers: saved, bytes: report.bytes, manifestDigest: report.manifestDigest } };
  }

  async #imagesOf(containers: readonly RuntimeContainer[]): Promise<ReadonlyMap<string, string>> {
    const { run, settings } = this.#options;
    const known = containers.map(async (one) => [one.name, await imageOf(one, { run, ...settings.runtime })] as const);
    return new Map(await Promise.all(known));
  }

  #measured(bytes: number, seconds: number): void {
    if (bytes < TELLING_BYTES || seconds <= 0) return;
    const speed = bytes / seconds;
    this.#bytesPerSecond =
      this.#bytesPerSecond === null ? speed : this.#bytesPerSecond * (1 - NEWEST_SHARE) + speed * NEWEST_SHARE;
  }
}
