import { RUNTIME_CLASS } from '../domain/labels.ts';
import type { Clock } from '../ports/clock.ts';
import { Reflector, type ReflectorNotice } from './reflector.ts';
import { RESOURCES } from './resources.ts';
import type { KubeTransport } from './transport.ts';

export interface RuntimeClassWatchOptions {
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly onNotice?: (notice: ReflectorNotice) => void;
  /** Called with what the first listing shows, and with each change. */
  readonly onChange: (exists: boolean) => void;
}

/**
 * Whether the RuntimeClass of restored pods exists. The API server refuses a pod that names a missing one, so the webhook must not
 * add its name then: the controller could create no pod at all.
 */
export class RuntimeClassWatch {
  readonly #onChange: (exists: boolean) => void;
  readonly #reflector: Reflector<{ readonly uid: string }>;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #uid: string | null = null;
  #exists: boolean | null = null;

  constructor({ transport, clock, onNotice, onChange }: RuntimeClassWatchOptions) {
    this.#onChange = onChange;
    this.#reflector = new Reflector({
      resource: RESOURCES.runtimeClasses,
      fieldSelector: `metadata.name=${RUNTIME_CLASS}`,
      transport,
      clock,
      project: ({ metadata }) => ({ uid: metadata.uid ?? '', resourceVersion: metadata.resourceVersion ?? '' }),
      sink: {
        upsert: ({ uid }) => this.#is(uid),
        remove: (uid) => {
          if (uid === this.#uid) this.#is(null);
        },
        replaceAll: ([found]) => {
          this.#is(found?.uid ?? null);
          return NOTHING_MISSED;
        },
      },
      ...(onNotice && { onNotice }),
    });
  }

  start(): void {
    this.#running = this.#reflector.run(this.#stop.signal);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #is(uid: string | null): void {
    this.#uid = uid;
    const exists = uid !== null;
    if (exists === this.#exists) return;
    this.#exists = exists;
    this.#onChange(exists);
  }
}

const NOTHING_MISSED = { missed: [], redundant: [] };
