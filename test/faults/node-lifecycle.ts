import { RESOURCES } from '../../src/kube/resources.ts';
import { sleep } from '../../src/ports/clock.ts';
import { nodeOf } from './parsed.ts';
import type { Machine } from './machine.ts';
import { namespaceOf } from './strikes.ts';
import type { World } from './world.ts';

const NOTICED_MS = 40_000;
/** Kubernetes waits five minutes; less here, so that it happens within a run. */
const EVICTED_MS = 90_000;

const UNREACHABLE = 'node.kubernetes.io/unreachable';

/** What the node lifecycle controller does about machines that say nothing any more. */
export class NodeLifecycle {
  readonly #world: World;
  /** Their kubelets stand still or are cut off, and their Nodes say so. */
  readonly #unreachable = new Set<Machine>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Looked at every second. No machine is silent for the five minutes for which pods tolerate that, so all keep their pods. */
  look(): void {
    for (const machine of this.#world.machines.values()) {
      const isSilent = machine.kubeletSilentMs >= NOTICED_MS;
      if (!machine.isUp || isSilent === this.#unreachable.has(machine)) continue;
      if (isSilent) this.#unreachable.add(machine);
      else this.#unreachable.delete(machine);
      void this.#say(machine.spec.name, isSilent ? 'NoSchedule' : null);
    }
  }

  /** The power of a machine has failed. */
  async noticeDead(machine: Machine): Promise<void> {
    const { clock, machines, admin } = this.#world;
    const { name } = machine.spec;
    const isGone = (): boolean => machines.get(name) !== machine || machine.isUp;
    await sleep(clock, NOTICED_MS);
    if (isGone()) return;
    await this.#say(name, 'NoExecute');
    await sleep(clock, EVICTED_MS);
    if (isGone()) return;
    for (const pod of this.#world.podsOn(name))
      await this.#world.tryTo(() => admin.delete(RESOURCES.pods, namespaceOf(pod), pod.metadata.name));
  }

  /** Null: it is reachable. */
  async #say(name: string, effect: 'NoSchedule' | 'NoExecute' | null): Promise<void> {
    const { api, admin } = this.#world;
    const raw = api.list(RESOURCES.nodes).find(({ metadata }) => metadata.name === name);
    if (raw === undefined) return;
    const others = nodeOf(raw).taints.filter(({ key }) => key !== UNREACHABLE);
    const spec = { taints: effect === null ? others : [...others, { key: UNREACHABLE, effect }] };
    const ready =
      effect === null ? { status: 'True', reason: 'KubeletReady' } : { status: 'Unknown', reason: 'NodeStatusUnknown' };
    const status = { conditions: [{ type: 'Ready', ...ready }] };
    await this.#world.tryTo(() => admin.patch(RESOURCES.nodes, null, name, { spec }, { type: 'merge' }));
    await this.#world.tryTo(() =>
      admin.patch(RESOURCES.nodes, null, name, { status }, { type: 'strategic', subresource: 'status' }),
    );
  }
}
