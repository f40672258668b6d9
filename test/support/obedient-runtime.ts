import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checkpointer, Guarantee, SaveRequest } from '../../src/agent/checkpointer/checkpointer.ts';
import { savedPartsOf } from '../../src/agent/checkpointer/dump-desk.ts';
import type { AgentConfiguration } from '../../src/config/configuration.ts';
import type { Dump } from '../../src/agent/orders/savable-pod.ts';
import type { PodContainer, PodProcesses } from '../../src/agent/pods/pod-processes.ts';
import type { DiskStoreOptions } from '../../src/agent/state/disk-store.ts';
import { makeManifest } from '../../src/agent/state/make-manifest.ts';
import type { StateStore } from '../../src/agent/state/state-store.ts';

/** For a disk of one node. */
export const NO_PEERS: DiskStoreOptions['peers'] = {
  fetch: ({ location }) => Promise.reject(new Error(`there is no node ${location.node}`)),
};

/** States without number. */
export const NO_QUOTA: AgentConfiguration['quota'] = {
  node: { bytes: null, states: 1_000_000 },
  namespace: { bytes: null, states: 1_000_000 },
};

/** One container (`i1`, `main`) that obeys, and a backend that saves it as one file. */
export class ObedientRuntime implements PodProcesses, Checkpointer {
  readonly guarantee: Guarantee;
  readonly bytesPerSecond = null;
  status: PodContainer['status'] = 'running';
  readonly #store: StateStore;

  constructor(store: StateStore, guarantee: Guarantee = 'StaysFrozen') {
    this.#store = store;
    this.guarantee = guarantee;
  }

  containers(): Promise<readonly PodContainer[]> {
    return Promise.resolve([{ id: 'i1', name: 'main', status: this.status }]);
  }

  pause(): Promise<void> {
    return this.#becomes('paused');
  }

  resume(): Promise<void> {
    return this.#becomes('running');
  }

  kill(): Promise<void> {
    return this.#becomes('other');
  }

  obstacle(): Promise<null> {
    return Promise.resolve(null);
  }

  lastingObstacle(): Promise<null> {
    return Promise.resolve(null);
  }

  stateBytes(): Promise<null> {
    return Promise.resolve(null);
  }

  undisturbed(): Promise<void> {
    return Promise.resolve();
  }

  progress(): Promise<null> {
    return Promise.resolve(null);
  }

  async save({ key, pod, containers }: SaveRequest, signal: AbortSignal): Promise<Dump> {
    const lost = containers.find((id) => id !== 'i1');
    if (lost !== undefined) return { failure: { reason: 'DumpFailed', message: `container ${lost} is gone` } };
    const before = this.status;
    this.status = 'paused';
    try {
      const draft = await this.#store.begin(key);
      await draft.create(['main']);
      await writeFile(join(draft.container('main').images, 'pages-1.img'), 'memory');
      const { version: _version, files: _files, ...contents } = makeManifest({ pod });
      const [container] = contents.containers;
      const main = { ...(container as NonNullable<typeof container>), name: 'main' };
      const state = await this.#store.commit(draft, { ...contents, containers: [main] }, { known: new Map(), signal });
      return { failure: null, saved: savedPartsOf(state) };
    } finally {
      this.status = before;
    }
  }

  #becomes(status: PodContainer['status']): Promise<void> {
    this.status = status;
    return Promise.resolve();
  }
}
