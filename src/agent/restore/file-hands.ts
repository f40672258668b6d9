import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentConfiguration } from '../../config/configuration.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { RunCommand } from '../runtime/command.ts';
import { readIdentity, type ContainerIdentity } from '../runtime/containers.ts';
import { restoreFailure } from '../runtime/dump-failure.ts';
import { imageOf } from '../runtime/image.ts';
import type { Runc } from '../runtime/runc.ts';
import { emptyDirs, sharedMemory, type StateFolder } from '../state/pod-folders.ts';
import { applyPodFolders, applyRootfs, clearPodFolders, clearRootfs } from './apply.ts';
import { check } from './check.ts';
import type { RestoreRequest } from './request.ts';
import type { RestoreHands, RestoreRefusal, StagedState, Staging } from './restore-hands.ts';
import { forgetPod, resultOf, resultsOf, type Outcome } from './results.ts';
import type { Stager } from './stager.ts';
import type { TicketWord } from './ticket-word.ts';

export interface FileHandsOptions {
  readonly settings: Pick<AgentConfiguration, 'runDir' | 'kubeletDir' | 'runtime'>;
  readonly stager: Stager;
  readonly run: RunCommand;
  readonly runc: Pick<Runc, 'proceed'>;
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
    const { run } = this.#options;
    const container = await identityOf(request);
    const paths = layout.container(container.name);
    await applyRootfs(paths.rootfs, { bundle: request.bundle, run });
    if (withShared) await applyPodFolders({ layout, manifest, run, ...(await this.#foldersOf(container)) });
    const workPath = this.#workPath(request);
    await mkdir(workPath, { recursive: true, mode: 0o700 });
    return { imagePath: paths.images, workPath };
  }

  async clean(request: RestoreRequest, withShared: boolean): Promise<void> {
    const container = await identityOf(request);
    await clearRootfs({ bundle: request.bundle, run: this.#options.run });
    if (withShared) await clearPodFolders(await this.#foldersOf(container));
  }

  async drop(podUid: string): Promise<void> {
    await this.#options.stager.forget(podUid);
    await rm(join(this.#options.settings.runDir, 'work', podUid), { recursive: true, force: true });
  }

  async forget(podUid: string): Promise<void> {
    await this.drop(podUid);
    await forgetPod(this.#options.settings.runDir, podUid);
  }

  async letGo(podUid: string): Promise<void> {
    const { settings, runc } = this.#options;
    const restored = (await resultsOf(settings.runDir, podUid)).filter(({ outcome }) => outcome === 'restored');
    await Promise.all(restored.map(({ containerId }) => runc.proceed(containerId)));
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

  async #foldersOf(
    container: ContainerIdentity,
  ): Promise<{ readonly volumes: readonly StateFolder[]; readonly shm: string | null }> {
    const volumes = await emptyDirs(this.#options.settings.kubeletDir, container.podUid);
    return { volumes, shm: sharedMemory(container) };
  }
}

async function identityOf({ id, bundle, podUid, container }: RestoreRequest): Promise<ContainerIdentity> {
  const identity = await readIdentity(id, bundle);
  if (!identity || identity.podUid !== podUid || identity.name !== container) {
    throw new Error(`${bundle} is no bundle of container ${container ?? ''} of this pod`);
  }
  return identity;
}
