import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentConfiguration } from '../../config/configuration.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { RunCommand } from '../runtime/command.ts';
import { readIdentity, type ContainerIdentity } from '../runtime/containers.ts';
import { imageOf } from '../runtime/image.ts';
import { emptyDirs, sharedMemory, type StateFolder } from '../state/pod-folders.ts';
import { applyPodFolders, applyRootfs, clearPodFolders, clearRootfs } from './apply.ts';
import { check } from './check.ts';
import type { ContainerResult, RestoreRequest } from './protocol.ts';
import type { RestoreHands, RestoreRefusal, StagedState, Staging } from './restore-desk.ts';
import type { RestoreRequests } from './requests.ts';
import type { Stager } from './stager.ts';

export interface FileHandsOptions {
  readonly settings: Pick<AgentConfiguration, 'runDir' | 'kubeletDir' | 'runtime'>;
  readonly stager: Stager;
  readonly results: RestoreRequests['results'];
  readonly run: RunCommand;
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

  async refusal(request: RestoreRequest, { manifest }: StagedState): Promise<RestoreRefusal | null> {
    const { run, compatibility, settings } = this.#options;
    const container = await identityOf(request);
    const image = await imageOf(container, { run, ...settings.runtime });
    return check(manifest, container.spec, {
      namespace: container.namespace,
      container: container.name,
      image,
      compatibility: compatibility(),
    });
  }

  async apply(
    request: RestoreRequest,
    { layout, manifest }: StagedState,
    withShared: boolean,
  ): Promise<{ readonly imagePath: string; readonly workPath: string }> {
    const { run, settings } = this.#options;
    const container = await identityOf(request);
    const paths = layout.container(container.name);
    await applyRootfs(paths.rootfs, { bundle: request.bundle, run });
    if (withShared) await applyPodFolders({ layout, manifest, run, ...(await this.#foldersOf(container)) });
    const workPath = join(settings.runDir, 'work', request.containerId);
    await mkdir(workPath, { recursive: true, mode: 0o700 });
    return { imagePath: paths.images, workPath };
  }

  async clean(request: RestoreRequest, withShared: boolean): Promise<void> {
    const container = await identityOf(request);
    await clearRootfs({ bundle: request.bundle, run: this.#options.run });
    if (withShared) await clearPodFolders(await this.#foldersOf(container));
  }

  forget(podUid: string): Promise<void> {
    return this.#options.stager.forget(podUid);
  }

  results(podUid: string): Promise<ReadonlyMap<string, ContainerResult>> {
    return this.#options.results(podUid);
  }

  async #foldersOf(
    container: ContainerIdentity,
  ): Promise<{ readonly volumes: readonly StateFolder[]; readonly shm: string | null }> {
    const volumes = await emptyDirs(this.#options.settings.kubeletDir, container.podUid);
    return { volumes, shm: sharedMemory(container) };
  }
}

async function identityOf({ containerId, bundle, podUid, containerName }: RestoreRequest): Promise<ContainerIdentity> {
  const identity = await readIdentity(containerId, bundle);
  if (!identity || identity.podUid !== podUid || identity.name !== containerName) {
    throw new Error(`${bundle} is no bundle of container ${containerName} of this pod`);
  }
  return identity;
}
