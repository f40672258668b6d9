import { beneficiaryOf, nodesOf, type Displacement } from '../../domain/displacement.ts';
import type { NodeName, PodUid } from '../../domain/ids.ts';
import { isFinal, type Ticket } from '../../domain/ticket.ts';
import { changeCount } from '../../index/counts.ts';
import type { ClusterView } from '../../index/types.ts';
import type { Refusal } from '../../ports/cluster-writer.ts';

/** What the API server refuses to let happen to a displaced pod. */
export type RefusedAct = 'save' | 'evict' | 'recreate';

export interface RefusedPod extends Refusal {
  readonly act: RefusedAct;
  readonly namespace: string;
  /** When it is tried again, on the monotonic clock. */
  readonly untilMs: number;
}

/**
 * The open displacements. No two have the same beneficiary.
 *
 * A displacement is remembered from the moment it is decided; from its first ticket on it also stands in the API server, and
 * a process that begins to lead adopts it from there. Later it adopts none: while it leads nobody else decides, so a displacement that
 * only a record knows was written late by an earlier leader, or by somebody who may not. It is closed when its cause has ended, or void when it will not be carried out; a
 * void displacement is remembered until its last ticket is gone, so that it is not adopted again meanwhile.
 */
export class DisplacementBook {
  readonly #open = new Map<string, Displacement>(); // id -> displacement
  readonly #byBeneficiary = new Map<PodUid, Displacement>(); // pod that gets the room -> the open displacement for it
  readonly #byNode = new Map<NodeName, Set<Displacement>>(); // node -> open displacements that move pods off it
  readonly #closed = new Set<string>(); // ids of displacements that are over but may still have tickets in phase Saving
  readonly #recorded = new Set<string>(); // open displacements that this process knows from tickets only
  readonly #overruled = new Set<string>(); // those of `#closed` that were found beside another one for the same beneficiary
  readonly #named = new Map<string, number>(); // displacement id -> tickets that are not final and name it
  readonly #refusals = new Map<PodUid, RefusedPod>(); // displaced pod -> why a write about it is refused
  readonly #listeners = new Set<(id: string) => void>();
  /** When the last pod of a displacement was seen gone, on the monotonic clock. */
  readonly #emptiedMs = new Map<string, number>(); // displacement id -> time

  get(id: string): Displacement | undefined {
    return this.#open.get(id);
  }

  /** The displacement that makes room for this pod. */
  ofBeneficiary(uid: PodUid): Displacement | undefined {
    return this.#byBeneficiary.get(uid);
  }

  all(): Iterable<Displacement> {
    return this.#open.values();
  }

  get size(): number {
    return this.#open.size;
  }

  /** Nodes that displacements use, each once. */
  nodes(): Iterable<NodeName> {
    return this.#byNode.keys();
  }

  /** Displacements that use `node`, other than the one for the pod `except`. Asked for every offered node, of which few are used. */
  on(node: NodeName, except?: PodUid): Iterable<Displacement> {
    const onNode = this.#byNode.get(node);
    if (onNode === undefined) return NONE;
    if (except === undefined) return onNode;
    return [...onNode].filter((displacement) => beneficiaryOf(displacement)?.uid !== except);
  }

  /** This process did not decide it: its tickets are all that is known of it. */
  isRecorded(id: string): boolean {
    return this.#recorded.has(id);
  }

  /** It is open, or is over and its tickets are being undone. */
  isKnown(id: string): boolean {
    return this.#open.has(id) || this.#closed.has(id);
  }

  /** It was found open beside a newer one for the same beneficiary, which stands. */
  isOverruled(id: string): boolean {
    return this.#overruled.has(id);
  }

  open(displacement: Displacement): void {
    const before = this.#rivalOf(displacement);
    if (before !== undefined) {
      this.#forget(before.id);
      this.#changed(before.id);
    }
    const beneficiary = beneficiaryOf(displacement);
    this.#forget(displacement.id);
    this.#open.set(displacement.id, displacement);
    if (beneficiary !== null) this.#byBeneficiary.set(beneficiary.uid, displacement);
    for (const node of nodesOf(displacement)) {
      const onNode = this.#byNode.get(node);
      if (onNode === undefined) this.#byNode.set(node, new Set([displacement]));
      else onNode.add(displacement);
    }
    this.#changed(displacement.id);
  }

  /** Ends a displacement: carried out, or void. What is left of it is undone by the reconciler. */
  close({ id }: Displacement): void {
    this.#forget(id);
    this.#closed.add(id);
    this.#emptiedMs.delete(id);
    this.#changed(id);
  }

  /** Calls `listener` with the id of a displacement that was opened, closed or overruled; returns the function that ends it. */
  onChange(listener: (id: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets everything: what stands in tickets is adopted again. */
  clear(): void {
    this.#open.clear();
    this.#byBeneficiary.clear();
    this.#byNode.clear();
    this.#closed.clear();
    this.#recorded.clear();
    this.#overruled.clear();
    this.#emptiedMs.clear();
    this.#refusals.clear();
  }

  /** Why the API server refuses what is to be written about a pod that is displaced; undefined where it does not. */
  refusalOf(uid: PodUid): RefusedPod | undefined {
    return this.#refusals.get(uid);
  }

  /** `refusal`: what was said of the last write about the pod; null: it was not refused. */
  setRefusal(uid: PodUid, refusal: RefusedPod | null): void {
    if (refusal !== null) this.#refusals.set(uid, refusal);
    else if (!this.#refusals.delete(uid)) return;
    for (const { id, pods } of this.#open.values()) if (pods.some((pod) => pod.uid === uid)) this.#changed(id);
  }

  /** What was refused in this namespace may be written again; null: in every namespace. */
  retryRefused(namespace: string | null): void {
    for (const [uid, refusal] of this.#refusals)
      if (namespace === null || refusal.namespace === namespace) this.setRefusal(uid, null);
  }

  emptiedAt({ id }: Displacement): number | undefined {
    return this.#emptiedMs.get(id);
  }

  markEmptied({ id }: Displacement, steadyMs: number): void {
    if (!this.#emptiedMs.has(id)) this.#emptiedMs.set(id, steadyMs);
  }

  /**
   * Adopts displacements that only tickets know, except flawed ones: the beginning of a term. Of two for one beneficiary the newer
   * stands, and the other one is over.
   */
  refresh(view: ClusterView): void {
    this.#named.clear();
    for (const ticket of view.tickets()) {
      this.#count(ticket, 1);
      this.#adopt(ticket);
    }
  }

  /**
   * A ticket changed; undefined where there was or is none. `mayBeLate`: an earlier leader may have written it. A displacement that came
   * to light by such a write is over, as if this process had closed it.
   */
  follow(before: Ticket | undefined, after: Ticket | undefined, mayBeLate: boolean): void {
    if (before !== undefined) this.#count(before, -1);
    if (after === undefined) return;
    this.#count(after, 1);
    const { id } = after.displacement;
    if (!mayBeLate || after.phase !== 'Saving' || after.flaw !== null || this.isKnown(id)) return;
    this.#closed.add(id);
    this.#changed(id);
  }

  /** Forgets closed displacements that no ticket names any more, the oldest first: a ticket that was on its way may name one yet. */
  forgetSettled(): void {
    for (const id of this.#closed) {
      if (this.#closed.size <= CLOSED_KEPT) return;
      if (this.#named.has(id)) continue;
      this.#closed.delete(id);
      this.#overruled.delete(id);
    }
  }

  #adopt({ displacement, phase, deleting, flaw }: Ticket): void {
    if (phase !== 'Saving' && phase !== 'Displacing') return;
    const { id } = displacement;
    if (deleting || flaw !== null || this.#closed.has(id) || this.#open.has(id)) return;
    const known = this.#rivalOf(displacement);
    if (known !== undefined) {
      const older = isNewer(displacement, known) ? known : displacement;
      this.close(older);
      this.#overruled.add(older.id);
      if (older === displacement) return;
    }
    this.open(displacement);
    this.#recorded.add(id);
  }

  /** The open displacement for the same beneficiary. */
  #rivalOf(displacement: Displacement): Displacement | undefined {
    const beneficiary = beneficiaryOf(displacement);
    return beneficiary === null ? undefined : this.#byBeneficiary.get(beneficiary.uid);
  }

  #count({ phase, displacement: { id } }: Ticket, by: 1 | -1): void {
    if (isFinal(phase)) return;
    changeCount(this.#named, id, by);
  }

  #changed(id: string): void {
    for (const listener of this.#listeners) listener(id);
  }

  #forget(id: string): void {
    const displacement = this.#open.get(id);
    if (displacement === undefined) return;
    this.#open.delete(id);
    this.#recorded.delete(id);
    const beneficiary = beneficiaryOf(displacement);
    if (beneficiary !== null) this.#byBeneficiary.delete(beneficiary.uid);
    for (const node of nodesOf(displacement)) {
      const onNode = this.#byNode.get(node);
      onNode?.delete(displacement);
      if (onNode?.size === 0) this.#byNode.delete(node);
    }
  }
}

/** More than are closed while one write is under way, by far. */
const CLOSED_KEPT = 1_000;

const NONE: readonly Displacement[] = [];

/** Total, so that every process keeps the same one. */
function isNewer(a: Displacement, b: Displacement): boolean {
  return a.decidedMs > b.decidedMs || (a.decidedMs === b.decidedMs && a.id > b.id);
}
