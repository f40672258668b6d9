import type { AgentConfiguration } from '../../config/configuration.ts';
import type { Log } from '../../observe/log.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Dump, DumpProgress, SavedParts, SaveFailure } from '../orders/savable-pod.ts';
import type { RunCommand } from '../runtime/command.ts';
import type { RuntimeContainer } from '../runtime/containers.ts';
import { imageOf } from '../runtime/image.ts';
import { overlayAt, readMounts, type Mount } from '../runtime/mountinfo.ts';
import type { Runc } from '../runtime/runc.ts';
import { emptyDirs, imageVolumes, isEmpty, sharedMemory } from '../state/pod-folders.ts';
import type { CommittedState, StateStore } from '../state/state-store.ts';
import type { SaveRequest } from './checkpointer.ts';
import { dumpPod } from './dump.ts';
import { keptBytes } from './kept-space.ts';
import { SizeLimit } from './size-limit.ts';
import { quotaExcess, type NewState } from './state-quota.ts';
import { diskUsage, estimateSpace, excessOf, lackOfSpace, ranFull } from './space.ts';

/** How much the newest dump counts in the speed that is told; and what is too small to say anything about the disk. */
const NEWEST_SHARE = 0.3;
const TELLING_BYTES = 32 * 1024 * 1024;

export interface DumpDeskOptions {
  readonly settings: Pick<
    AgentConfiguration,
    'stateDir' | 'kubeletDir' | 'kubeletConfig' | 'reserveBytes' | 'quota' | 'runtime'
  >;
  readonly runc: Pick<Runc, 'checkpoint' | 'pidsWith'>;
  readonly run: RunCommand;
  readonly clock: Clock;
  readonly log: Log;
  readonly store: StateStore;
  /** Class of this node; null: not known. */
  readonly compatibility: () => string | null;
  /** Those of this process, as they are now; other ones in tests. */
  readonly mounts?: () => Promise<readonly Mount[]>;
}

/** Collects what belongs to a pod, sees whether there is room, has it written, and commits it. */
export class DumpDesk {
  readonly #options: DumpDeskOptions;
  readonly #underWay = new Map<string, { readonly folder: string; readonly expectedBytes: number }>(); // key -> its dump
  readonly #claims = new Map<string, { readonly folder: string; readonly bytes: number }>(); // key -> what its dump may write, in the order in which they were asked for
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

  /** Why no pod of a namespace can be saved now, however small: its states, or all, have used up their quota. */
  quotaUsedUp(namespace: string): Promise<SaveFailure | null> {
    return this.#overQuota({ namespace, reference: null, bytes: 1 });
  }

  async #overQuota(state: NewState): Promise<SaveFailure | null> {
    const message = quotaExcess(state, await this.#usage(), this.#options.settings.quota);
    return message === null ? null : { reason: 'QuotaExceeded', message };
  }

  async dump(request: SaveRequest, containers: readonly RuntimeContainer[], stop: AbortSignal): Promise<Dump> {
    try {
      return await this.#dump(request, containers, stop);
    } finally {
      this.#claims.delete(request.key);
    }
  }

  async #dump(
    { pod, key, rules, token, longestFreezeMs }: SaveRequest,
    containers: readonly RuntimeContainer[],
    stop: AbortSignal,
  ): Promise<Dump> {
    const { runc, run, clock, log, compatibility, store, settings, mounts: mountsNow = readMounts } = this.#options;
    const { kubeletDir } = settings;
    const startedMs = clock.monotonic();
    const layout = await store.begin(key);
    const mounts = await mountsNow();
    const volumes = rules.volumes === 'None' ? null : await emptyDirs(kubeletDir, pod.uid);
    const shared = containers.map(sharedMemory).find((source) => source !== null) ?? null;
    const shm = volumes === null || shared === null || (await isEmpty(shared)) ? null : shared;
    const uppers = containers.flatMap(({ bundle }) => overlayAt(mounts, `${bundle}/rootfs`)?.upperdir ?? []);
    const ofPod = volumes === null ? [] : [...volumes, ...containers.flatMap(imageVolumes)];
    const estimate = await estimateSpace({
      pids: containers.map(({ pid }) => pid),
      processes: containers.flatMap((container) => runc.pidsWith(container)),
      folders: [...uppers, ...ofPod.map(({ path }) => path), ...(shm === null ? [] : [shm])],
      run,
      signal: stop,
    });
    const expectedBytes = estimate.memoryBytes + estimate.fileBytes;
    const keepFreeBytes = await keptBytes(settings);
    const { folder } = layout;
    this.#claims.set(key, { folder, bytes: expectedBytes });
    const freeBytes = (await store.freeBytes()) - (await this.#claimedBefore(key));
    const lack = lackOfSpace(estimate, { freeBytes, keepFreeBytes });
    if (lack !== null) return { failure: { reason: 'NoSpace', message: lack } };
    const excessive = await this.#overQuota({ namespace: pod.namespace, reference: key, bytes: expectedBytes });
    if (excessive !== null) return { failure: excessive };
    const excess = excessOf(estimate, rules);
    if (excess !== null) return { failure: { reason: 'TooLarge', message: excess } };
    const seconds = expectedBytes / (this.#bytesPerSecond ?? Infinity);
    if (longestFreezeMs !== null && seconds * 1000 > longestFreezeMs) {
      const message = `saving it takes about ${seconds.toFixed(0)} s, and its liveness probes allow ${longestFreezeMs / 1000} s`;
      return { failure: { reason: 'ProbesEnd', message } };
    }
    const preparedMs = clock.monotonic();
    this.#underWay.set(key, { folder, expectedBytes });
    const limit = new SizeLimit({ folder, rules, run, clock, freeBytes: () => store.freeBytes(), keepFreeBytes });
    const signal = AbortSignal.any([stop, limit.exceeded]);
    const dumping = dumpPod({
      containers,
      layout,
      runc,
      pids: (container) => runc.pidsWith(container),
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
      signal,
    });
    const committing = dumping.then(async ({ contents, known, ms }) => {
      const committed = await store.commit(layout, contents, { known, signal });
      return { saved: savedPartsOf(committed), ms: { prepare: preparedMs - startedMs, ...ms, ...committed.ms } };
    });
    const done = await committing.catch((error: unknown) => error as Error).finally(() => limit.end());
    this.#underWay.delete(key);
    if (done instanceof Error && stop.aborted) throw done;
    const tooLarge = done instanceof Error ? limit.failure : limit.judge(done.saved.bytes);
    if (tooLarge !== null) return { failure: tooLarge };
    if (done instanceof Error) {
      // On a full disk criu cannot even log why it failed.
      const left = await store.freeBytes();
      const writtenBytes = await diskUsage([folder], run).catch(() => 0);
      const after = { writtenBytes, freeBytes: left, keepFreeBytes };
      if (!ranFull(estimate, after)) throw done;
      return { failure: { reason: 'NoSpace', message: `the disk ran full (${left} bytes are free): ${done.message}` } };
    }
    const { saved, ms } = done;
    this.#measured(saved.bytes, (clock.monotonic() - startedMs) / 1000);
    log.info({ pod: pod.name, namespace: pod.namespace, reference: key, bytes: saved.bytes, ms }, 'saved');
    return { failure: null, saved };
  }

  /** What the dumps that began before this one have still to write: it is free now, and will not be. */
  async #claimedBefore(key: string): Promise<number> {
    const claims = [...this.#claims];
    const earlier = claims.slice(
      0,
      claims.findIndex(([other]) => other === key),
    );
    const left = earlier.map(async ([, { folder, bytes }]) => {
      const written = await diskUsage([folder], this.#options.run).catch(() => 0);
      return Math.max(0, bytes - written);
    });
    return (await Promise.all(left)).reduce((sum, bytes) => sum + bytes, 0);
  }

  /** On the disk, or about to be: of a dump that is under way all that it may write counts. */
  async #usage(): Promise<ReadonlyMap<string, number>> {
    const usage = new Map(await this.#options.store.usage());
    for (const [key, { bytes }] of this.#claims) usage.set(key, Math.max(bytes, usage.get(key) ?? 0));
    return usage;
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

/** As the status of the PodCheckpoint has it. Volumes and shared memory are the pod's, and count for no container. */
export function savedPartsOf({
  manifest,
  manifestDigest,
}: Pick<CommittedState, 'manifest' | 'manifestDigest'>): SavedParts {
  const { containers, files } = manifest;
  const bytesBelow = (folder: string): number =>
    files.reduce((sum, { path, bytes }) => (path.startsWith(folder) ? sum + bytes : sum), 0);
  return {
    containers: containers.map(({ name, image }) => ({
      name,
      bytes: bytesBelow(`containers/${name}/`),
      imageDigest: image,
    })),
    bytes: bytesBelow(''),
    manifestDigest,
  };
}
