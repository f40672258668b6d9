import { HAND_DECISIONS } from '../../domain/labels.ts';
import { isFinal, type Ticket, type TicketPhase } from '../../domain/ticket.ts';
import { checkpointOf, isCalledOff } from '../checkpoints/saved-state.ts';
import { seesAll, type Steps, type World } from '../core/steps.ts';

type HandDecision = keyof typeof HAND_DECISIONS;

/**
 * Acts on the annotation `reprieve.dev/decide` of a ticket, then removes it. Returns true while the ticket is not to be moved
 * otherwise. The phase is written first: after a crash in between, the same annotation finds its phase reached.
 */
export function stepHandDecision(world: World, ticket: Ticket, steps: Steps): boolean {
  const { decide } = ticket;
  if (decide === null) return false;
  if (!isHandDecision(decide)) {
    const allowed = Object.keys(HAND_DECISIONS).join(', ');
    steps.do({ kind: 'ClearDecision', ticket, refused: `"${decide}" is no decision; allowed: ${allowed}` });
    return false;
  }
  if (ticket.phase === TARGETS[decide]) {
    steps.do({ kind: 'ClearDecision', ticket, refused: null });
    return false;
  }
  const obstacle = obstacleTo(world, ticket, decide, steps);
  if (obstacle === 'later') return false;
  if (obstacle !== null) {
    steps.do({ kind: 'ClearDecision', ticket, refused: `${decide} is not possible: ${obstacle}` });
    return false;
  }
  switch (decide) {
    case 'retry':
      steps.do({
        kind: 'SetTicketPhase',
        ticket,
        phase: 'Waiting',
        reason: 'Queued',
        message: 'put back into the queue by reprieve.dev/decide: retry',
        afresh: true,
      });
      break;
    case 'cold':
      steps.move(ticket, 'ColdStarted', 'DecidedByHand', 'reprieve.dev/decide: cold');
      break;
    case 'abandon':
      steps.move(ticket, 'Abandoned', 'DecidedByHand', 'reprieve.dev/decide: abandon');
      break;
    default:
      decide satisfies never;
  }
  return true;
}

const TARGETS: Readonly<Record<HandDecision, TicketPhase>> = {
  retry: 'Waiting',
  cold: 'ColdStarted',
  abandon: 'Abandoned',
};

function isHandDecision(text: string): text is HandDecision {
  return Object.hasOwn(HAND_DECISIONS, text);
}

/** Why the decision cannot be acted on; `later`: not yet known, or not yet time. */
function obstacleTo(world: World, ticket: Ticket, decide: HandDecision, steps: Steps): string | null {
  const { view } = world;
  const phases: readonly TicketPhase[] = HAND_DECISIONS[decide].from;
  if (!phases.includes(ticket.phase)) return `the ticket is ${ticket.phase}; it must be ${phases.join(' or ')}`;
  if (decide !== 'retry') {
    // Its pod is created again first: somebody has to start cold.
    const isBareUnmade = ticket.owner === null && ticket.claim === null && decide === 'cold';
    return isBareUnmade ? 'later' : null;
  }
  const checkpoint = checkpointOf(view, ticket);
  if (checkpoint === undefined) return seesAll(world, steps) ? 'its checkpoint is gone' : 'later';
  if (!checkpoint.ready || isCalledOff(checkpoint)) return 'its checkpoint is gone';
  if (view.podOf({ namespace: ticket.namespace, uid: ticket.pod.uid }) !== undefined)
    return 'the displaced pod still exists';
  const claimant =
    isFinal(ticket.phase) && ticket.claim !== null
      ? view.podOf({ namespace: ticket.namespace, ...ticket.claim })
      : undefined;
  if (claimant?.restored?.succeeded === true) return `pod ${claimant.name} continues it`;
  return null;
}
