import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentConfiguration } from '../../config/configuration.ts';
import type { KubeObject } from '../../kube/transport.ts';
import { checkImages } from '../images/check-images.ts';
import { linkConfigFiles } from '../obstacles/config-files.ts';
import type { RunCommand } from '../runtime/command.ts';
import { ownContainers, readIdentity, type ContainerIdentity, type ContainerIndex } from '../runtime/containers.ts';
import { restoreFailure } from '../runtime/dump-failure.ts';
import { imageOf } from '../runtime/image.ts';
import type { Runc } from '../runtime/runc.ts';
import { hostsFile, withAddedHosts } from '../state/hosts-file.ts';
import {
  boundFolders,
  emptyDirs,
  imageVolumes,
  sharedMemory,
  type BoundFolder,
  type ImageVolume,
  type StateFolder,
} from '../state/pod-folders.ts';
import type { StateStore } from '../state/state-store.ts';
import {
  applyImageVolumes,
  applyPodFolders,
  applyRootfs,
  clearImageVolumes,
  clearIpc,
  clearPodFolders,
  clearRootfs,
} from './apply.ts';
import { check } from './check.ts';
import type { RestoreRequest } from './request.ts';
import type { RestoreHands, RestoreRefusal, StagedState, Staging } from './restore-hands.ts';
import { rightsOf } from './rights.ts';
import { forgetPod, resultOf, resultsOf, startedCold, type Outcome } from './results.ts';
import type { Stager } from './stager.ts';
import type { TicketWord } from './ticket-word.ts';

/** Where the hosts file is kept as the kubelet wrote it. */
const KUBELET_HOSTS = 'hosts';

export interface FileHandsOptions {
  readonly settings: Pick<AgentConfiguration, 'runDir' | 'kubeletDir' | 'runtime'>;
  readonly stager: Stager;
  readonly store: Pick<StateStore, 'close'>;
  readonly run: RunCommand;
  readonly runc: Pick<Runc, 'proceed' | 'kill' | 'ended'>;
  readonly index: Pick<ContainerIndex, 'podContainers'>;
  /** Class of this node; null: not known. */
  readonly compatibility: () => string | null;
}

/** {@link RestoreHands} on the node's own files. */
export class FileHands implements RestoreHands {
  readonly #options: FileHandsOptions;

  constructor(options: FileHandsOptions) {
    this.#options = options;
  }

  stage(pod: KubeObject, stop: AbortSignal): Promise<Staging> {
    return this.#options.stager.stage(pod, stop);
  }

  word(pod: KubeObject, stop: AbortSignal): Promise<TicketWord> {
    return this.#options.stager.word(pod, stop);
  }

  async refusal(request: RestoreRequest, { layout, manifest }: StagedState): Promise<RestoreRefusal | null> {
    const { run, compatibility, settings } = this.#options;
    const container = await identityOf(request);
    const image = await imageOf(container, { run, ...settings.runtime });
    const refusal = check(manifest, container.spec, {
      namespace: container.namespace,
      container: container.name,
      image,
      compatibility: compatibility(),
    });
    if (refusal !== null) return refusal;
    const wrapper = request.process === null ? null : Number(request.process.split(':', 1)[0]);
    const rights = await rightsOf({ spec: container.spec, wrapper, run });
    const excess = await checkImages(layout.container(container.name).images, rights);
    if (excess !== null) return { reason: 'ImagesRefused', message: `${container.name}: ${excess}` };
    const { configFiles = [] } = manifest.containers.find(({ name }) => name === container.name) ?? {};
    const changed = await linkConfigFiles(container, configFiles);
    if (changed === null) return null;
    return { reason: 'MountsDiffer', message: `${container.name} has ${changed} open, which has changed since` };
  }

  async running({ podUid, id }: RestoreRequest): Promise<string | null> {
    const containers = await ownContainers(this.#options.index, podUid);
    return containers.find((one) => one.id !== id && one.status !== 'stopped')?.name ?? null;
  }

  async apply(
    request: RestoreRequest,
    { layout, manifest }: StagedState,
    withShared: boolean,
    signal: AbortSignal,
  ): Promise<{ readonly imagePath: string; readonly workPath: string }> {
    const { run } = this.#options;
    const container = await identityOf(request);
    const paths = layout.container(container.name);
    await applyRootfs(paths.rootfs, { bundle: request.bundle, run, signal });
    const saved = new Set(manifest.files.map(({ path }) => join(layout.folder, path)));
    const archive = ({ name }: ImageVolume): string => paths.volume(name);
    const isSaved = (volume: ImageVolume): boolean => saved.has(archive(volume));
    await applyImageVolumes({ volumes: imageVolumes(container), archive, isSaved, run, signal });
    if (withShared) await applyPodFolders({ layout, manifest, run, signal, ...(await this.#foldersOf(container)) });
    const workPath = this.#workPath(request);
    await mkdir(workPath, { recursive: true, mode: 0o700 });
    if (saved.has(layout.hosts)) await this.#addHosts(container, manifest.pod.name, layout.hosts, workPath);
    return { imagePath: paths.images, workPath };
  }

  async clean(request: RestoreRequest, withShared: boolean): Promise<void> {
    const container = await identityOf(request);
    const { bundle } = request;
    const { run } = this.#options;
    await clearRootfs({ bundle, run });
    const hosts = hostsFile(container);
    const before = await readFile(join(this.#workPath(request), KUBELET_HOSTS), 'utf8').catch(() => null);
    if (hosts !== null && before !== null) await writeFile(hosts, before);
    await clearImageVolumes(imageVolumes(container), { bundle, run });
    if (withShared) await clearIpc(container, run);
    if (withShared) await clearPodFolders({ run, ...(await this.#foldersOf(container)) });
  }

  /** The kubelet writes the file anew before it makes each container. What it wrote is kept for a cold start. */
  async #addHosts(container: ContainerIdentity, savedPod: string, savedHosts: string, workPath: string): Promise<void> {
    const path = hostsFile(container);
    if (path === null) return;
    const now = await readFile(path, 'utf8');
    await writeFile(join(workPath, KUBELET_HOSTS), now);
    await writeFile(path, withAddedHosts(now, await readFile(savedHosts, 'utf8'), savedPod));
  }

  async drop(podUid: string): Promise<void> {
    await this.#options.store.close(podUid);
    await rm(join(this.#options.settings.runDir, 'work', podUid), { recursive: true, force: true });
  }

  async forget(podUid: string): Promise<void> {
    await this.drop(podUid);
    await forgetPod(this.#options.settings.runDir, podUid);
  }

  async letGo(podUid: string): Promise<void> {
    const restored = await this.#restored(podUid);
    await Promise.all(restored.map(({ containerId }) => this.#options.runc.proceed(containerId)));
  }

  async endRestored(podUid: string): Promise<void> {
    const { settings, runc } = this.#options;
    for (const { container, containerId } of await this.#restored(podUid)) {
      await runc.kill(containerId);
      await runc.ended(containerId);
      await startedCold(settings.runDir, podUid, { container, containerId });
    }
  }

  async #restored(podUid: string): Promise<Awaited<ReturnType<typeof resultsOf>>> {
    const results = await resultsOf(this.#options.settings.runDir, podUid);
    return results.filter(({ outcome }) => outcome === 'restored');
  }

  async outcome(podUid: string, container: string): Promise<Outcome | null> {
    return (await resultOf(this.#options.settings.runDir, podUid, container))?.outcome ?? null;
  }

  async failure(request: RestoreRequest): Promise<string> {
    const log = await readFile(join(this.#workPath(request), 'restore.log'), 'utf8').catch(() => '');
    return restoreFailure(log, 'the runtime could not restore it; see its log on the node');
  }

  /** CRIU's logs: in memory, and gone with the attempt. */
  #workPath({ podUid, id }: RestoreRequest): string {
    return join(this.#options.settings.runDir, 'work', podUid, id);
  }

  async #foldersOf(container: ContainerIdentity): Promise<{
    readonly volumes: readonly StateFolder[];
    readonly shm: string | null;
    readonly bound: readonly BoundFolder[];
  }> {
    const { kubeletDir } = this.#options.settings;
    const volumes = await emptyDirs(kubeletDir, container.podUid);
    return { volumes, shm: sharedMemory(container), bound: await boundFolders(kubeletDir, container.podUid) };
  }
}

async function identityOf({ id, bundle, podUid, container }: RestoreRequest): Promise<ContainerIdentity> {
  const identity = await readIdentity(id, bundle);
  if (!identity || identity.podUid !== podUid || identity.name !== container) {
    throw new Error(`${bundle} is no bundle of container ${container ?? ''} of this pod`);
  }
  return identity;
}
