import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A PodCheckpoint: what a saved pod is kept under. */
export interface CheckpointKey {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

const LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?$/;
const UID = /^[0-9a-f](?:[-0-9a-f]{0,62}[0-9a-f])?$/;
/** What a name in a folder can have on Linux. */
const NAME_MAX = 255;

/**
 * The name of the folder of a saved pod, `<namespace>_<name>_<uid>`: none of the three can hold an underscore or lead
 * out of the store. Throws a RangeError for what Kubernetes would not accept, and where the name would be too long.
 */
export function referenceOf({ namespace, name, uid }: CheckpointKey): string {
  const reference = `${namespace}_${name}_${uid}`;
  if (!LABEL.test(namespace) || !SUBDOMAIN.test(name) || name.includes('..') || !UID.test(uid)) {
    throw new RangeError(`${JSON.stringify(reference)} is no reference of a saved pod`);
  }
  if (reference.length > NAME_MAX) {
    throw new RangeError(`the name of the PodCheckpoint is too long by ${reference.length - NAME_MAX} characters`);
  }
  return reference;
}

/** The other way round; throws a RangeError for what `referenceOf` would not give. */
export function parseReference(reference: string): CheckpointKey {
  const [namespace = '', name = '', uid = ''] = reference.split('_');
  const key = { namespace, name, uid };
  if (referenceOf(key) !== reference)
    throw new RangeError(`${JSON.stringify(reference)} is no reference of a saved pod`);
  return key;
}

/** Written last: the folder of a saved pod that has it is whole. */
export const MANIFEST_FILE = 'manifest.json';

/** Where all saved pods of a node are. */
export function checkpointsFolder(stateDir: string): string {
  return join(stateDir, 'checkpoints');
}

/** Where the parts of one saved pod are; relative paths in a manifest belong to `folder`. */
export class SavedPodLayout {
  readonly reference: string;
  readonly folder: string;

  constructor(stateDir: string, key: CheckpointKey) {
    this.reference = referenceOf(key);
    this.folder = join(checkpointsFolder(stateDir), this.reference);
  }

  static of(stateDir: string, reference: string): SavedPodLayout {
    return new SavedPodLayout(stateDir, parseReference(reference));
  }

  get manifest(): string {
    return join(this.folder, MANIFEST_FILE);
  }

  /** What the containers share through /dev/shm; not there when that was empty. */
  get shm(): string {
    return join(this.folder, 'shm.tar');
  }

  /** The /etc/hosts of the pod. */
  get hosts(): string {
    return join(this.folder, 'hosts');
  }

  container(name: string): {
    readonly images: string;
    readonly work: string;
    readonly rootfs: string;
    /** Of an image volume; see `imageVolumes`. */
    readonly volume: (volume: string) => string;
  } {
    const folder = join(this.folder, 'containers', label(name));
    return {
      images: join(folder, 'images'),
      work: join(folder, 'work'),
      rootfs: join(folder, 'rootfs.tar'),
      volume: (volume) => join(folder, `volume-${label(volume)}.tar`),
    };
  }

  volume(name: string): string {
    return join(this.folder, 'volumes', `${label(name)}.tar`);
  }

  /** Removes all that a dump writes, so that another one can begin. */
  async clear(): Promise<void> {
    for (const path of [this.manifest, `${this.manifest}.tmp`, this.shm, this.hosts, join(this.folder, 'containers')]) {
      await rm(path, { recursive: true, force: true });
    }
    await rm(join(this.folder, 'volumes'), { recursive: true, force: true });
  }

  /** Makes the folders that a dump of these containers writes to, for root alone. */
  async create(containers: readonly string[]): Promise<void> {
    const paths = containers.flatMap((name) => [this.container(name).images, this.container(name).work]);
    for (const path of [...paths, join(this.folder, 'volumes')]) await mkdir(path, { recursive: true, mode: 0o700 });
  }
}

/** The name of a container or volume. */
function label(name: string): string {
  if (!LABEL.test(name)) throw new RangeError(`${JSON.stringify(name)} is no name of a container or volume`);
  return name;
}
