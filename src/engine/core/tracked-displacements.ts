import type { Displacement } from '../../domain/displacement.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import type { RefusedPod } from '../displace/displacement-book.ts';
import { ONLY } from './parts.ts';
import type { Reader, Readers } from './readers.ts';
import type { Displacements } from './steps.ts';

/** Displacements, with a note of what is read of them. */
export class TrackedDisplacements implements Displacements {
  readonly #book: Displacements;
  readonly #readers: Pick<Readers<Reader>, 'read'>;

  constructor(book: Displacements, readers: Pick<Readers<Reader>, 'read'>) {
    this.#book = book;
    this.#readers = readers;
  }

  get(id: string): Displacement | undefined {
    this.#readers.read('displacement', id);
    return this.#book.get(id);
  }

  all(): Iterable<Displacement> {
    this.#readers.read('all', 'displacement');
    return this.#book.all();
  }

  get size(): number {
    this.#readers.read('all', 'displacement');
    return this.#book.size;
  }

  on(node: NodeName, except?: PodUid): Iterable<Displacement> {
    this.#readers.read('all', 'displacement');
    return this.#book.on(node, except);
  }

  isOverruled(id: string): boolean {
    this.#readers.read('overruled', ONLY);
    return this.#book.isOverruled(id);
  }

  /** Never changes while it is open. */
  isRecorded(id: string): boolean {
    return this.#book.isRecorded(id);
  }

  isKnown(id: string): boolean {
    this.#readers.read('displacement', id);
    return this.#book.isKnown(id);
  }

  /** Read with the displacement of the pod, which changes with it. */
  refusalOf(uid: PodUid): RefusedPod | undefined {
    return this.#book.refusalOf(uid);
  }

  /** Changes only by what the step about the displacement itself says, which looks again by the time. */
  emptiedAt(displacement: Displacement): number | undefined {
    return this.#book.emptiedAt(displacement);
  }
}
