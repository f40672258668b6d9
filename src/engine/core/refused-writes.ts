import type { PodUid } from '../../domain/ids.ts';
import { objectKey } from '../../domain/ids.ts';
import type { Pod } from '../../domain/pod.ts';
import { isFinal, type Ticket } from '../../domain/ticket.ts';
import type { ClusterView, IndexEvent } from '../../index/types.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DisplacementBook, RefusedAct } from '../displace/displacement-book.ts';
import { WAITS_FOR_CAPACITY } from '../return/outcomes.ts';
import type { EngineEventMap, EngineEvents } from '../engine-events.ts';
import type { Command } from './commands.ts';
import type { Executor } from './executor.ts';

export interface RefusedWritesOptions {
  readonly view: ClusterView;
  readonly book: DisplacementBook;
  readonly clock: Clock;
  readonly events: EngineEvents;
  /** The one that moves pods. */
  readonly executor: Pick<Executor, 'retryRefused'>;
  /** The one that tells. */
  readonly reports: Pick<Executor, 'run'>;
}

/**
 * What follows where the API server refuses a write and will refuse it again: a displacement learns at once that a pod cannot be
 * saved or evicted, and does not wait for `maxDelay`; a ticket says so in its condition. The write is tried again after a long
 * pause, and at once when something changes that it may depend on: a pod of the namespace is gone (quota), or the namespace is
 * another one (PodSecurity).
 */
export class RefusedWrites {
  readonly #options: RefusedWritesOptions;

  constructor(options: RefusedWritesOptions) {
    this.#options = options;
    options.events.on('command:done', (done) => this.#note(done));
  }

  /** Something changed that every refusal may depend on. */
  retryAll(): void {
    this.#options.executor.retryRefused(null);
    this.#options.book.retryRefused(null);
  }

  changed(event: IndexEvent, before: object | undefined): void {
    const { book, executor } = this.#options;
    let namespace: string | null = null;
    if (event.kind === 'pod' && event.type === 'delete') namespace = (before as Pod | undefined)?.namespace ?? null;
    else if (event.kind === 'namespace' && event.type === 'upsert') namespace = event.value.name;
    if (namespace === null) return;
    executor.retryRefused(namespace);
    book.retryRefused(namespace);
  }

  #note({ command, outcome, refusal, restMs }: EngineEventMap['command:done']): void {
    const { book, clock } = this.#options;
    const about = displacedPodOf(command);
    if (about !== null) {
      const { uid, namespace, act } = about;
      if (refusal === null) book.setRefusal(uid, null);
      else book.setRefusal(uid, { ...refusal, act, namespace, untilMs: clock.monotonic() + restMs });
    }
    const ticket = ticketOf(command);
    if (ticket === null) return;
    if (refusal !== null)
      this.#tell(ticket, 'Refused', `${whatIsRefused(command)}: ${refusal.reason}: ${refusal.message}`);
    else if (outcome === 'done' && command.kind === 'RecreatePod') this.#tell(ticket, 'Queued', WAITS_FOR_CAPACITY);
  }

  /** Once: a ticket that says it already is not written to again. */
  #tell({ namespace, name }: Ticket, reason: 'Refused' | 'Queued', message: string): void {
    const ticket = this.#options.view.ticket(objectKey(namespace, name));
    if (ticket === undefined || isFinal(ticket.phase) || ticket.deleting) return;
    const { said } = ticket;
    if (reason === 'Queued' ? said.reason !== 'Refused' : said.reason === reason && said.message === message) return;
    const condition = { reason, message };
    this.#options.reports.run([{ kind: 'TellTicket', ticket, condition, waitsFor: null, blocked: null }]);
  }
}

/** The displaced pod that a command is to save, to evict or to make again; null for any other command. */
function displacedPodOf(
  command: Command,
): { readonly uid: PodUid; readonly namespace: string; readonly act: RefusedAct } | null {
  switch (command.kind) {
    case 'CreateTicket':
      return { ...command.order.victim, act: 'save' };
    case 'AdoptTicket':
      return { uid: command.ticket.pod.uid, namespace: command.ticket.namespace, act: 'save' };
    case 'CreateCheckpoint':
      return { ...command.order.pod, act: 'save' };
    case 'Evict':
      return { ...command.order.victim, act: 'evict' };
    case 'RecreatePod':
      return { uid: command.ticket.pod.uid, namespace: command.ticket.namespace, act: 'recreate' };
    default:
      return null;
  }
}

/** The ticket that a command brings back; null for a command whose refusal is told otherwise, or that writes the ticket itself. */
function ticketOf(command: Command): Ticket | null {
  if (command.kind === 'RecreatePod' || command.kind === 'EndPod' || command.kind === 'Claim') return command.ticket;
  return command.kind === 'Ungate' && command.as !== null ? command.as.ticket : null;
}

function whatIsRefused(command: Command): string {
  switch (command.kind) {
    case 'RecreatePod':
      return 'the API server refuses to create the pod again';
    case 'EndPod':
      return 'the API server refuses to delete the pod that made way';
    case 'Ungate':
      return 'the API server refuses to remove the gate of its pod';
    default:
      return 'the API server refuses the claim of its pod';
  }
}
