import { preemptionIn } from '../support/preemption.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { RESTORE_GATE } from '../../src/domain/labels.ts';
import { isTerminal } from '../../src/domain/pod.ts';
import { isFinal } from '../../src/domain/ticket.ts';
import type { StoredObject } from '../../src/sim/api-server/api-object.ts';
import type { ServerWrite } from '../../src/sim/api-server/server-options.ts';
import { checkpointOf, podOf, ticketOf } from './parsed.ts';

/** Where a displacement, a ticket or a checkpoint can stand, by what is true in the cluster. Faults are counted by what they met. */
export const STATES = {
  decided: 'a preemptor was told to wait, and nothing is written yet',
  Saving: 'ticket: the victim is being saved',
  ordered: 'checkpoint: nobody has frozen the pod yet',
  frozen: 'checkpoint: the pod stands still, its state is not complete',
  saved: 'checkpoint: complete, the pod stands still',
  failed: 'checkpoint: it could not be made',
  undoing: 'checkpoint: it is released or being deleted, its node has not thawed the pod',
  Displacing: 'ticket: the victim is being deleted',
  emptied: 'all victims are gone, the preemptor is not bound',
  Waiting: 'ticket: nobody has claimed it',
  gated: 'a replacement stands behind the gate, unclaimed',
  claimed: 'a replacement stands behind the gate, with its ticket',
  Admitted: 'ticket: kube-scheduler places its pod',
  Restoring: 'ticket: a node restores it',
  Held: 'ticket: every attempt to restore it failed',
  Restored: 'ticket: final',
  ColdStarted: 'ticket: final',
  Abandoned: 'ticket: final',
} as const satisfies Record<string, string>;

export type StateName = keyof typeof STATES;

/** Which state each object is in now, kept up to date write by write. */
export class StateBoard {
  readonly #stateOf = new Map<string, StateName>(); // uid of an object -> its state
  readonly #count = new Map<StateName, number>();
  readonly #entered = new Map<StateName, number>();
  readonly #onEnter: (state: StateName, times: number) => void;
  readonly #list: (kind: (typeof RESOURCES)[keyof typeof RESOURCES]) => readonly StoredObject[];

  constructor(
    list: (kind: (typeof RESOURCES)[keyof typeof RESOURCES]) => readonly StoredObject[],
    onEnter: (state: StateName, times: number) => void,
  ) {
    this.#list = list;
    this.#onEnter = onEnter;
  }

  present(): readonly StateName[] {
    return (Object.keys(STATES) as StateName[]).filter((state) => (this.#count.get(state) ?? 0) > 0);
  }

  written({ kind, type, object }: ServerWrite): void {
    const uid = object.metadata.uid ?? '';
    const isGone = type === 'DELETED';
    if (kind === RESOURCES.reprieves) {
      const ticket = ticketOf(object);
      this.move(uid, isGone ? null : ticket.phase);
      if (!isGone) this.move(`displacement ${ticket.displacement.id}`, null);
      for (const pod of this.#list(RESOURCES.pods)) this.#movePod(pod);
      this.#moveEmptied(ticket.displacement.id);
    } else if (kind === RESOURCES.podCheckpoints) this.move(uid, isGone ? null : this.#checkpointState(object));
    else if (kind === RESOURCES.pods) {
      if (isGone) this.move(uid, null);
      else this.#movePod(object);
      for (const ticket of this.#list(RESOURCES.reprieves)) this.#moveEmptied(ticketOf(ticket).displacement.id);
    }
  }

  /** A pod was frozen or went on: what its checkpoint says comes later. */
  frozen(checkpointKey: string | null): void {
    const uid = checkpointKey?.split('_')[2];
    if (uid !== undefined && this.#stateOf.get(uid) === 'ordered') this.move(uid, 'frozen');
  }

  /** A preemptor was promised something that no ticket says yet. */
  decided(id: string): void {
    this.move(`displacement ${id}`, 'decided');
  }

  move(key: string, state: StateName | null): void {
    const before = this.#stateOf.get(key) ?? null;
    if (before === state) return;
    if (before !== null) this.#count.set(before, (this.#count.get(before) ?? 0) - 1);
    if (state === null) {
      this.#stateOf.delete(key);
      return;
    }
    this.#stateOf.set(key, state);
    this.#count.set(state, (this.#count.get(state) ?? 0) + 1);
    const times = (this.#entered.get(state) ?? 0) + 1;
    this.#entered.set(state, times);
    this.#onEnter(state, times);
  }

  #checkpointState(object: StoredObject): StateName | null {
    const { deleting, release, released, failure, ready, frozen } = checkpointOf(object);
    if (deleting || (release !== null && !released)) return 'undoing';
    if (released) return null;
    if (failure !== null) return 'failed';
    if (ready) return frozen ? 'saved' : null;
    const before = this.#stateOf.get(object.metadata.uid ?? '');
    return before === 'frozen' ? 'frozen' : 'ordered';
  }

  #movePod(object: StoredObject): void {
    const uid = object.metadata.uid ?? '';
    const spec = object['spec'] as { readonly schedulingGates?: readonly { readonly name: string }[] };
    if (!spec.schedulingGates?.some(({ name }) => name === RESTORE_GATE)) {
      if (this.#stateOf.has(uid)) this.move(uid, null);
      return;
    }
    const isClaimed = this.#list(RESOURCES.reprieves).some((raw) => {
      const ticket = ticketOf(raw);
      return ticket.claim?.uid === uid && !isFinal(ticket.phase);
    });
    this.move(uid, isClaimed ? 'claimed' : 'gated');
  }

  #moveEmptied(id: string): void {
    const key = `emptied ${id}`;
    const ticket = this.#list(RESOURCES.reprieves)
      .map(ticketOf)
      .find(({ displacement }) => displacement.id === id);
    const pods = this.#list(RESOURCES.pods).map(podOf);
    const preemptor = pods.find(({ uid }) => uid === (ticket && preemptionIn(ticket.displacement).preemptor.uid));
    const isOpen = ticket !== undefined && ticket.phase !== 'Saving' && preemptor?.nodeName === null;
    const isEmptied =
      isOpen &&
      !preemptor.deletionMs &&
      ticket.displacement.pods.every(({ uid }) => {
        const pod = pods.find((candidate) => candidate.uid === uid);
        return pod === undefined || isTerminal(pod);
      });
    this.move(key, isEmptied ? 'emptied' : null);
  }
}
