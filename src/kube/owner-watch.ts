import { ownerKey, type OwnerKey } from '../domain/ids.ts';
import { JOB_READ_EVERY_MS, type OwnerFacts } from '../domain/owner-facts.ts';
import type { PodOwner } from '../domain/pod.ts';
import { isOpenAndFree, type Ticket } from '../domain/ticket.ts';
import type { Clock, Timer } from '../ports/clock.ts';
import { ifFound } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { ownerFactsOf, ownerReadingOf } from './project/owner.ts';

const LOOK_EVERY_MS = 5_000;
/** A controller whose pod is missed is read no more often; two reads that agree make it settled. */
const READ_EVERY_MS = 10_000;
/** Reads of one look, of missed pods first, then the longest unread: ten a second for the whole cluster, however many there are. */
const READS_PER_LOOK = 50;
const READS_AT_ONCE = 5;

export interface OwnerWatchOptions {
  readonly client: Pick<KubeClient, 'get'>;
  readonly clock: Clock;
  readonly tickets: () => Iterable<Ticket>;
  /** Jobs of pods that would be saved if they were displaced. */
  readonly jobs: () => Iterable<{ readonly namespace: string; readonly owner: PodOwner }>;
  /** Null: nothing is to be known of it any more. */
  readonly onFacts: (owner: OwnerKey, facts: OwnerFacts | null) => void;
}

interface Owner {
  readonly namespace: string;
  readonly owner: PodOwner;
  /** A ticket of one of its pods waits for a pod. */
  isMissing: boolean;
  readMs: number; // on the monotonic clock
  facts: OwnerFacts | null; // what was told
}

/**
 * Reads the controllers whose displaced pods wait for a pod that does not come, and Jobs that an eviction might fail, while this
 * replica leads. Most tickets are claimed within moments of the eviction, so few controllers are ever read; a watch of all
 * ReplicaSets and Jobs of a large cluster would hold more objects than there are pods.
 */
export class OwnerWatch {
  readonly #options: OwnerWatchOptions;
  readonly #owners = new Map<OwnerKey, Owner>();
  #timer: Timer | null = null;
  #term = 0;

  constructor(options: OwnerWatchOptions) {
    this.#options = options;
  }

  /** This replica leads. */
  begin(): void {
    this.end();
    this.#plan(this.#term);
  }

  /** It leads no longer, or stops. */
  end(): void {
    this.#term++;
    this.#timer?.cancel();
    for (const [key, { facts }] of this.#owners) if (facts !== null) this.#options.onFacts(key, null);
    this.#owners.clear();
  }

  #plan(term: number): void {
    this.#timer = this.#options.clock.setTimer(LOOK_EVERY_MS, () => void this.#look(term));
  }

  async #look(term: number): Promise<void> {
    this.#follow();
    const nowMs = this.#options.clock.monotonic();
    const due = [...this.#owners.values()]
      .filter(({ readMs, isMissing }) => readMs + (isMissing ? READ_EVERY_MS : JOB_READ_EVERY_MS) <= nowMs)
      .sort((a, b) => Number(b.isMissing) - Number(a.isMissing) || a.readMs - b.readMs)
      .slice(0, READS_PER_LOOK);
    for (let at = 0; at < due.length && term === this.#term; at += READS_AT_ONCE)
      await Promise.all(due.slice(at, at + READS_AT_ONCE).map((owner) => this.#read(owner, term)));
    if (term === this.#term) this.#plan(term);
  }

  /** Brings the list of controllers to the tickets that wait, and the pods that would be saved. */
  #follow(): void {
    const known = new Set<OwnerKey>();
    for (const entry of this.#owners.values()) entry.isMissing = false;
    for (const ticket of this.#options.tickets()) {
      const { owner, namespace } = ticket;
      if (owner === null || !waitsForPod(ticket) || ownerReadingOf(owner) === null) continue;
      known.add(ownerKey(namespace, owner));
      this.#entryOf(namespace, owner).isMissing = true;
    }
    for (const { namespace, owner } of this.#options.jobs()) {
      known.add(ownerKey(namespace, owner));
      this.#entryOf(namespace, owner);
    }
    for (const key of [...this.#owners.keys()].filter((one) => !known.has(one))) {
      const isTold = this.#owners.get(key)?.facts != null;
      this.#owners.delete(key);
      if (isTold) this.#options.onFacts(key, null);
    }
  }

  #entryOf(namespace: string, owner: PodOwner): Owner {
    const key = ownerKey(namespace, owner);
    let entry = this.#owners.get(key);
    if (entry === undefined) {
      entry = { namespace, owner, isMissing: false, readMs: Number.NEGATIVE_INFINITY, facts: null };
      this.#owners.set(key, entry);
    }
    return entry;
  }

  /** What cannot be read now is read later. */
  async #read(entry: Owner, term: number): Promise<void> {
    const { client, clock, onFacts } = this.#options;
    const { owner, namespace } = entry;
    const reading = ownerReadingOf(owner);
    if (reading === null) return;
    entry.readMs = clock.monotonic();
    const object = await ifFound(client.get(reading.resource, namespace, owner.name)).catch(() => undefined);
    if (object === undefined || term !== this.#term) return;
    const read = settled(ownerFactsOf(owner, object, reading), entry.facts);
    // Of most Jobs there is nothing to keep.
    const facts = entry.isMissing || read.failsByEviction !== null ? read : null;
    if (JSON.stringify(facts) === JSON.stringify(entry.facts)) return;
    entry.facts = facts;
    onFacts(ownerKey(namespace, owner), facts);
  }
}

function settled(facts: OwnerFacts, before: OwnerFacts | null): OwnerFacts {
  const { count } = facts;
  const isSettled = count !== null && count.wants === before?.count?.wants && count.lacks === before.count.lacks;
  return isSettled ? { ...facts, count: { ...count, isSettled } } : facts;
}

function waitsForPod(ticket: Ticket): boolean {
  return isOpenAndFree(ticket) && (ticket.phase === 'Waiting' || ticket.phase === 'Held');
}
