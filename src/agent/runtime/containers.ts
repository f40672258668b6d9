import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../ports/clock.ts';
import type { OciSpec } from './oci-spec.ts';
import type { ContainerStatus, ListedContainer, Runc } from './runc.ts';

/** What a bundle says about its container; it does not change as long as the container exists. */
export interface ContainerIdentity {
  readonly id: string;
  readonly kind: 'sandbox' | 'container';
  /** Of the container in its pod; empty for a sandbox. */
  readonly name: string;
  readonly namespace: string;
  readonly podName: string;
  readonly podUid: string;
  readonly sandboxId: string;
  readonly bundle: string;
  readonly spec: OciSpec;
}

export interface RuntimeContainer extends ContainerIdentity {
  /** 0 when it has no process. */
  readonly pid: number;
  readonly status: ContainerStatus;
}

export interface ContainerIndexOptions {
  /** The runtime's folder of bundles, one folder named by the id for each container. */
  readonly bundles: string;
  readonly runc: Pick<Runc, 'state' | 'glance'>;
  readonly clock: Clock;
}

interface Question {
  readonly askedMs: number;
  readonly answer: Promise<ListedContainer | undefined>;
}

/**
 * Which containers run for a pod. Looking for a pod that has none costs one listing of a folder: config.json is read
 * once per container, and runc is asked only when there is something to ask about.
 */
export class ContainerIndex {
  readonly #bundles: string;
  readonly #runc: Pick<Runc, 'state' | 'glance'>;
  readonly #clock: Clock;
  readonly #questions = new Map<string, Question>(); // container id -> what runc was asked last
  #identities: ReadonlyMap<string, ContainerIdentity | null> = new Map(); // container id -> null: of no pod

  constructor({ bundles, runc, clock }: ContainerIndexOptions) {
    this.#bundles = bundles;
    this.#runc = runc;
    this.#clock = clock;
  }

  /**
   * The containers of a pod that exist, its sandbox first, then by name and id. Where the kernel cannot tell, processes and
   * statuses may be as they were up to `maxAgeMs` ago: one question to runc serves all who look at about the same time.
   */
  async podContainers(podUid: string, maxAgeMs = 0): Promise<readonly RuntimeContainer[]> {
    const identities = (await this.#known()).filter((identity) => identity.podUid === podUid);
    if (identities.length === 0) return [];
    const found = await Promise.all(
      identities.map(async (identity) => {
        const known = this.#runc.glance(identity.id) ?? (await this.#ask(identity.id, maxAgeMs));
        return known === undefined ? [] : [{ ...identity, pid: known.pid, status: known.status }];
      }),
    );
    return found.flat().sort(bySandboxThenName);
  }

  /** One container, by its id; undefined when it is not there or of no pod. */
  async identity(id: string): Promise<ContainerIdentity | undefined> {
    return (await this.#known()).find((identity) => identity.id === id);
  }

  #ask(id: string, maxAgeMs: number): Promise<ListedContainer | undefined> {
    const nowMs = this.#clock.monotonic();
    const before = this.#questions.get(id);
    if (before !== undefined && maxAgeMs !== 0 && nowMs - before.askedMs <= maxAgeMs) return before.answer;
    const answer = this.#runc.state(id);
    const question = { askedMs: nowMs, answer };
    answer.catch(() => {
      if (this.#questions.get(id) === question) this.#questions.delete(id);
    });
    this.#questions.set(id, question);
    return answer;
  }

  async #known(): Promise<readonly ContainerIdentity[]> {
    const ids = await readdir(this.#bundles).catch(nothingIfMissing);
    const before = this.#identities;
    const entries = await Promise.all(
      ids.map(async (id) => [id, before.get(id) ?? (before.has(id) ? null : await this.#read(id))] as const),
    );
    this.#identities = new Map(entries.flatMap(([id, found]) => (found === undefined ? [] : [[id, found]])));
    for (const id of this.#questions.keys()) if (!this.#identities.has(id)) this.#questions.delete(id);
    return [...this.#identities.values()].filter((identity) => identity !== null);
  }

  /** Undefined while the bundle is being made: it is looked at again. CRI-O keeps its bundles one folder deeper. */
  async #read(id: string): Promise<ContainerIdentity | null | undefined> {
    for (const bundle of [join(this.#bundles, id), join(this.#bundles, id, 'userdata')]) {
      const identity = await readIdentity(id, bundle);
      if (identity !== undefined) return identity;
    }
    return undefined;
  }
}

/** The containers of a pod without its sandbox; what runc says of them may be `maxAgeMs` old. */
export async function ownContainers(
  index: Pick<ContainerIndex, 'podContainers'>,
  podUid: string,
  maxAgeMs?: number,
): Promise<readonly RuntimeContainer[]> {
  return (await index.podContainers(podUid, maxAgeMs)).filter(({ kind }) => kind === 'container');
}

/** Of the container with this bundle: null when it is of no pod, undefined when there is no whole config.json (yet). */
export async function readIdentity(id: string, bundle: string): Promise<ContainerIdentity | null | undefined> {
  let spec: OciSpec;
  try {
    spec = JSON.parse(await readFile(join(bundle, 'config.json'), 'utf8')) as OciSpec;
  } catch (error) {
    if (error instanceof SyntaxError || ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      return undefined;
    }
    throw error;
  }
  const annotations = spec.annotations ?? {};
  const dialect = DIALECTS.find(({ kind }) => annotations[kind] !== undefined);
  if (dialect === undefined) return null;
  const podUid = annotations[dialect.podUid];
  if (podUid === undefined) return null;
  const kind = annotations[dialect.kind] === 'sandbox' ? 'sandbox' : 'container';
  return {
    id,
    kind,
    name: kind === 'sandbox' ? '' : (annotations[dialect.name] ?? ''),
    namespace: annotations[dialect.namespace] ?? '',
    podName: annotations[dialect.podName] ?? '',
    podUid,
    sandboxId: annotations[dialect.sandboxId] ?? (kind === 'sandbox' ? id : ''),
    bundle,
    spec,
  };
}

/** The annotations in which containerd and CRI-O say the same. */
const DIALECTS = [
  {
    kind: 'io.kubernetes.cri.container-type',
    name: 'io.kubernetes.cri.container-name',
    namespace: 'io.kubernetes.cri.sandbox-namespace',
    podName: 'io.kubernetes.cri.sandbox-name',
    podUid: 'io.kubernetes.cri.sandbox-uid',
    sandboxId: 'io.kubernetes.cri.sandbox-id',
  },
  {
    kind: 'io.kubernetes.cri-o.ContainerType',
    name: 'io.kubernetes.container.name',
    namespace: 'io.kubernetes.pod.namespace',
    podName: 'io.kubernetes.pod.name',
    podUid: 'io.kubernetes.pod.uid',
    sandboxId: 'io.kubernetes.cri-o.SandboxID',
  },
] as const;

function bySandboxThenName(a: RuntimeContainer, b: RuntimeContainer): number {
  if (a.kind !== b.kind) return a.kind === 'sandbox' ? -1 : 1;
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

function nothingIfMissing(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}
