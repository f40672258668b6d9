import { LRUCache } from 'lru-cache';
import type { ClusterEventRecord, EventSink } from '../ports/cluster-writer.ts';
import { sleep, type Clock } from '../ports/clock.ts';
import { COMPONENT } from '../domain/labels.ts';
import { KubeApiError } from './api-error.ts';
import type { KubeClient } from './client.ts';
import { microTimestampOf, secondsTimestampOf } from './project/time.ts';
import { apiVersionOf, RESOURCES } from './resources.ts';

/** Identical events within this time are one event with a count, as in client-go. */
const SAME_WITHIN_MS = 10 * 60_000;
/** Far more than one pass of the reconciler emits; a queue that is longer belongs to a server that does not answer. */
const MAX_QUEUED = 1000;
/** Recent events remembered for counting. */
const MAX_RECENT = 4000;
const ATTEMPTS = 3;
/** The server refuses longer ones (`NoteLengthLimit`), counted in bytes. */
const MAX_MESSAGE_BYTES = 1024;

export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Which of our processes it is: the name of its pod. */
  readonly instance: string;
}

interface Recorded {
  readonly name: string;
  readonly event: ClusterEventRecord;
  readonly firstMs: number;
  lastMs: number;
  count: number;
  /** A write of the current count stands in the queue already. */
  queued: boolean;
  created: boolean;
}

/**
 * {@link EventSink} that writes core/v1 Events, one after the other and in the background. Events are for people to read: one
 * that cannot be written is dropped and counted, and nothing else happens.
 */
export class EventRecorder implements EventSink {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #instance: string;
  readonly #recent: LRUCache<string, Recorded>; // what it says -> the event that says it
  readonly #queue: Recorded[] = [];
  #sequence = 0;
  #draining: Promise<void> | null = null;
  #dropped = 0;

  constructor({ client, clock, instance }: EventRecorderOptions) {
    this.#client = client;
    this.#clock = clock;
    this.#instance = instance;
    this.#recent = new LRUCache({
      max: MAX_RECENT,
      ttl: SAME_WITHIN_MS,
      ttlResolution: 0,
      perf: { now: () => clock.now() },
    });
  }

  /** Events that were given up: queue full, or refused by the server. */
  get dropped(): number {
    return this.#dropped;
  }

  emit(event: ClusterEventRecord): void {
    const nowMs = this.#clock.now();
    const key = keyOf(event);
    let recorded = this.#recent.get(key);
    if (recorded === undefined) {
      recorded = {
        name: this.#nameFor(event, nowMs),
        event,
        firstMs: nowMs,
        lastMs: nowMs,
        count: 0,
        queued: false,
        created: false,
      };
    }
    this.#recent.set(key, recorded); // counts as seen now
    recorded.count++;
    recorded.lastMs = nowMs;
    if (recorded.queued) return; // the queued write will carry the new count
    if (this.#queue.length >= MAX_QUEUED) {
      this.#dropped++;
      return;
    }
    recorded.queued = true;
    this.#queue.push(recorded);
    this.#draining ??= this.#drain();
  }

  /** Resolves when all that was emitted is written or dropped. */
  async flush(): Promise<void> {
    while (this.#draining !== null) await this.#draining;
  }

  async #drain(): Promise<void> {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      next.queued = false;
      if (!(await this.#written(next))) this.#dropped++;
    }
    this.#draining = null;
  }

  async #written(recorded: Recorded): Promise<boolean> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      try {
        await this.#write(recorded);
        return true;
      } catch (error) {
        if (error instanceof KubeApiError && error.status === 409) {
          recorded.created = true; // an attempt whose answer was lost
          return true;
        }
        // A client error is an answer: the namespace is going, or we may not. Again would be the same.
        if (error instanceof KubeApiError && error.status < 500 && error.status !== 429) return false;
        const retryAfterMs = error instanceof KubeApiError ? (error.retryAfterMs ?? 0) : 0;
        if (attempt < ATTEMPTS) await sleep(this.#clock, Math.max(retryAfterMs, 1000 * attempt));
      }
    }
    return false;
  }

  async #write(recorded: Recorded): Promise<void> {
    const { event, name } = recorded;
    // kube-apiserver takes Events about objects without a namespace in "default" only.
    const namespace = event.regarding.namespace || 'default';
    const { count } = recorded;
    const lastTimestamp = secondsTimestampOf(recorded.lastMs);
    if (recorded.created) {
      await this.#client.patch(RESOURCES.events, namespace, name, { count, lastTimestamp }, { type: 'merge' });
      return;
    }
    await this.#client.create(RESOURCES.events, namespace, {
      metadata: { name, namespace },
      involvedObject: referenceTo(event.regarding),
      ...(event.related && { related: referenceTo(event.related) }),
      type: event.type,
      reason: event.reason.slice(0, 128),
      action: event.action.slice(0, 128),
      message: shortened(event.message),
      reportingComponent: COMPONENT,
      reportingInstance: this.#instance.slice(0, 128),
      source: { component: COMPONENT },
      eventTime: microTimestampOf(recorded.firstMs),
      firstTimestamp: secondsTimestampOf(recorded.firstMs),
      lastTimestamp,
      count,
    });
    recorded.created = true;
  }

  /** Unique across processes as well: the time and the instance are in it. */
  #nameFor({ regarding }: ClusterEventRecord, nowMs: number): string {
    const base = regarding.name.slice(0, 200).replace(/[^a-z0-9]+$/, '');
    const unique = `${nowMs.toString(16)}${(this.#sequence++ & 0xffff).toString(16).padStart(4, '0')}`;
    return `${base}.${unique}${hash(this.#instance)}`;
  }
}

function keyOf({ regarding, related, type, reason, action, message }: ClusterEventRecord): string {
  return [regarding.kind, regarding.uid, related?.uid ?? '', type, reason, action, message].join('\n');
}

function referenceTo({ kind, namespace, name, uid }: ClusterEventRecord['regarding']): object {
  const apiVersion = kind === 'Pod' ? apiVersionOf(RESOURCES.pods) : apiVersionOf(RESOURCES.reprieves);
  return { apiVersion, kind, ...(namespace !== '' && { namespace }), name, uid };
}

function shortened(message: string): string {
  if (Buffer.byteLength(message) <= MAX_MESSAGE_BYTES) return message;
  // Cut at a byte, then drop what is left of a character that was cut in two.
  const cut = Buffer.from(message).subarray(0, MAX_MESSAGE_BYTES - 3);
  return `${cut.toString().replace(/\uFFFD+$/, '')}…`;
}

/** FNV-1a, 32 bits, in hex. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193);
  return (value >>> 0).toString(16).padStart(8, '0');
}
