import { objectKey, type NodeName, type ObjectKey, type PodUid } from '../domain/ids.ts';
import { isFinal, type Decision, type Ticket } from '../domain/ticket.ts';
import type { ClusterView } from '../index/types.ts';

/**
 * The open decisions, one per preemptor.
 *
 * A decision is remembered from the moment `preempt` makes it; from its first ticket on it also stands in the API server,
 * and a restarted process adopts it from there. It is closed when the preemptor has what it needs, or void when it will not
 * be carried out; a void decision is remembered until its last ticket is gone, so that it is not adopted again meanwhile.
 */
export class DecisionBook {
  readonly #open = new Map<PodUid, Decision>(); // preemptor -> its decision
  readonly #byNode = new Map<NodeName, Set<Decision>>(); // node -> open decisions that use it
  readonly #closed = new Set<string>(); // ids of decisions that are over but may still have tickets in phase Saving
  readonly #overruled = new Set<string>(); // those of `#closed` that stood beside another one about the same preemptor
  readonly #named = new Map<string, number>(); // decision id -> tickets that are not final and name it
  readonly #unread = new Set<ObjectKey>(); // tickets that changed since the last refresh
  readonly #unsettled = new Set<string>(); // ids that may be forgotten: closed, or named by a ticket less, since then
  readonly #listeners = new Set<(preemptor: PodUid) => void>();
  /** When the last victim of a decision was seen gone, on the clock that nobody sets. */
  readonly #emptiedMs = new Map<string, number>(); // decision id -> time

  get(preemptor: PodUid): Decision | undefined {
    return this.#open.get(preemptor);
  }

  all(): Iterable<Decision> {
    return this.#open.values();
  }

  get size(): number {
    return this.#open.size;
  }

  /** Decisions that use `node`, other than that of `except`. */
  *on(node: NodeName, except?: PodUid): Generator<Decision> {
    for (const decision of this.#byNode.get(node) ?? NONE) {
      if (decision.preemptor.uid !== except) yield decision;
    }
  }

  /** A decision of equal or higher priority uses `node`: it cannot be chosen for this preemptor. */
  isTaken(node: NodeName, preemptor: { readonly uid: PodUid; readonly priority: number }): boolean {
    for (const { preemptor: other } of this.#byNode.get(node) ?? NONE) {
      if (other.uid !== preemptor.uid && other.priority >= preemptor.priority) return true;
    }
    return false;
  }

  /** It was found open beside a newer one about the same preemptor, which stands. */
  isOverruled(id: string): boolean {
    return this.#overruled.has(id);
  }

  open(decision: Decision): void {
    this.#forget(decision.preemptor.uid);
    this.#open.set(decision.preemptor.uid, decision);
    const onNode = this.#byNode.get(decision.node);
    if (onNode === undefined) this.#byNode.set(decision.node, new Set([decision]));
    else onNode.add(decision);
    this.#changed(decision.preemptor.uid);
  }

  /** Ends a decision: carried out, or void. What is left of it is undone by the reconciler. */
  close(decision: Decision): void {
    if (this.#open.get(decision.preemptor.uid)?.id === decision.id) this.#forget(decision.preemptor.uid);
    this.#closed.add(decision.id);
    this.#unsettled.add(decision.id);
    this.#emptiedMs.delete(decision.id);
    this.#changed(decision.preemptor.uid);
  }

  /** Calls `listener` when the decision about a preemptor was opened, closed or overruled; returns the function that ends it. */
  onChange(listener: (preemptor: PodUid) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets everything: what stands in tickets is adopted again. */
  clear(): void {
    this.#open.clear();
    this.#byNode.clear();
    this.#closed.clear();
    this.#overruled.clear();
    this.#emptiedMs.clear();
    this.#unsettled.clear();
  }

  emptiedAt(decision: Decision): number | undefined {
    return this.#emptiedMs.get(decision.id);
  }

  markEmptied(decision: Decision, steadyMs: number): void {
    if (!this.#emptiedMs.has(decision.id)) this.#emptiedMs.set(decision.id, steadyMs);
  }

  /**
   * Adopts decisions that only tickets know, except flawed ones, and forgets closed ones that no ticket names any more. Of two about one
   * preemptor the newer stands, and the other one is over.
   */
  refresh(view: ClusterView): void {
    this.#named.clear();
    this.#unread.clear();
    for (const ticket of view.tickets()) {
      this.#count(ticket, 1);
      this.#adopt(ticket);
    }
    this.#forgetUnnamed(this.#closed);
    this.#unsettled.clear();
  }

  /** A ticket changed; undefined where there was or is none. */
  follow(before: Ticket | undefined, after: Ticket | undefined): void {
    if (before !== undefined) this.#count(before, -1);
    if (after === undefined) return;
    this.#count(after, 1);
    this.#unread.add(objectKey(after.namespace, after.name));
  }

  /** The same as {@link refresh}, for the tickets that changed since ({@link follow}). */
  refreshChanged(view: ClusterView): void {
    for (const key of this.#unread) {
      const ticket = view.ticket(key);
      if (ticket !== undefined) this.#adopt(ticket);
    }
    this.#unread.clear();
    this.#forgetUnnamed(this.#unsettled);
    this.#unsettled.clear();
  }

  #adopt(ticket: Ticket): void {
    const { decision, phase, deleting, flaw } = ticket;
    if (phase !== 'Saving' && phase !== 'Displacing') return;
    if (deleting || flaw !== null || this.#closed.has(decision.id)) return;
    const known = this.#open.get(decision.preemptor.uid);
    if (known?.id === decision.id) return;
    if (known !== undefined) {
      const older = isNewer(decision, known) ? known : decision;
      this.close(older);
      this.#overruled.add(older.id);
      if (older === decision) return;
    }
    this.open(decision);
  }

  #count({ phase, decision: { id } }: Ticket, by: 1 | -1): void {
    if (isFinal(phase)) return;
    const count = (this.#named.get(id) ?? 0) + by;
    if (count > 0) this.#named.set(id, count);
    else this.#named.delete(id);
    if (count <= 0) this.#unsettled.add(id);
  }

  #forgetUnnamed(ids: Iterable<string>): void {
    for (const id of ids) {
      if (this.#named.has(id)) continue;
      this.#closed.delete(id);
      this.#overruled.delete(id);
    }
  }

  #changed(preemptor: PodUid): void {
    for (const listener of this.#listeners) listener(preemptor);
  }

  #forget(preemptor: PodUid): void {
    const decision = this.#open.get(preemptor);
    if (decision === undefined) return;
    this.#open.delete(preemptor);
    const onNode = this.#byNode.get(decision.node);
    onNode?.delete(decision);
    if (onNode?.size === 0) this.#byNode.delete(decision.node);
  }
}

const NONE: readonly Decision[] = [];

/** Total, so that every process keeps the same one. */
function isNewer(a: Decision, b: Decision): boolean {
  return a.decidedMs > b.decidedMs || (a.decidedMs === b.decidedMs && a.id > b.id);
}
