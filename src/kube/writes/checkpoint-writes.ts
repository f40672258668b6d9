import type { Checkpoint } from '../../domain/checkpoint.ts';
import { AGENT_FINALIZER } from '../../domain/labels.ts';
import type { CheckpointOrder, PodRef, WriteOutcome } from '../../ports/cluster-writer.ts';
import { ifFound, isAlreadyExists } from '../api-error.ts';
import { checkpointObject } from '../checkpoint-object.ts';
import { RESOURCES } from '../resources.ts';
import { untilUnchanged, whileDeleting, type IndexedClient } from './indexed-client.ts';

/** What the schema allows for the reason of a release. */
const LONGEST_REASON = 1024;

/** Writes to PodCheckpoints. */
export class CheckpointWrites {
  readonly #indexed: IndexedClient;

  constructor(indexed: IndexedClient) {
    this.#indexed = indexed;
  }

  async create(order: CheckpointOrder): Promise<WriteOutcome> {
    const { client } = this.#indexed;
    const { namespace, name } = order;
    try {
      this.#indexed.seenCheckpoint(await client.create(RESOURCES.podCheckpoints, namespace, checkpointObject(order)));
      return 'done';
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    const raw = await ifFound(client.get(RESOURCES.podCheckpoints, namespace, name));
    if (raw === null) return 'moved';
    const existing = this.#indexed.seenCheckpoint(raw);
    // The name of a PodCheckpoint that Reprieve creates holds the id of the displacement.
    const isOurs = existing.owner?.ticket === order.ticket && existing.podUid === order.pod.uid;
    return isOurs && !existing.deleting ? 'done' : 'moved';
  }

  async release(
    { namespace, name, uid }: Checkpoint,
    because: string,
    whileStands: PodRef | null,
  ): Promise<WriteOutcome> {
    if (whileStands !== null && !(await this.#indexed.stands(whileStands))) return 'moved';
    const { client } = this.#indexed;
    return untilUnchanged(async () => {
      const raw = await ifFound(client.get(RESOURCES.podCheckpoints, namespace, name));
      if (raw === null || raw.metadata.uid !== uid) return 'done';
      const { release, deleting } = this.#indexed.seenCheckpoint(raw);
      if (release !== null || deleting) return 'done'; // a release is final
      const patch = {
        metadata: { uid, resourceVersion: raw.metadata.resourceVersion },
        spec: { release: { message: because.slice(0, LONGEST_REASON) } },
      };
      const answer = await ifFound(client.patch(RESOURCES.podCheckpoints, namespace, name, patch, { type: 'merge' }));
      if (answer !== null) this.#indexed.seenCheckpoint(answer);
      return 'done';
    });
  }

  async delete({ namespace, name, uid }: Checkpoint): Promise<WriteOutcome> {
    const { client } = this.#indexed;
    const answer = await whileDeleting(client.delete(RESOURCES.podCheckpoints, namespace, name, { uid }));
    if (answer !== null) this.#indexed.seenCheckpoint(answer);
    return 'done';
  }

  async removeFinalizer({ namespace, name, uid }: Checkpoint): Promise<WriteOutcome> {
    const { client } = this.#indexed;
    return untilUnchanged(async () => {
      const raw = await ifFound(client.get(RESOURCES.podCheckpoints, namespace, name));
      if (raw === null || raw.metadata.uid !== uid) return 'done';
      const finalizers = raw.metadata.finalizers?.filter((finalizer) => finalizer !== AGENT_FINALIZER) ?? [];
      if (finalizers.length === (raw.metadata.finalizers?.length ?? 0)) return 'done';
      const patch = { metadata: { resourceVersion: raw.metadata.resourceVersion, finalizers } };
      const answer = await ifFound(client.patch(RESOURCES.podCheckpoints, namespace, name, patch, { type: 'merge' }));
      if (answer !== null) this.#indexed.seenCheckpoint(answer);
      return 'done';
    });
  }
}
