import { objectKey, type ObjectKey, type PodUid } from '../domain/ids.ts';
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { Ticket } from '../domain/ticket.ts';
import { claimGroupOf, stepClaims } from './claims.ts';
import { stepContradiction } from './contradictions.ts';
import { stepDecision, stepDeletedCheckpoint, stepLeftover } from './displacement.ts';
import { admit, byTurn, stepQueued } from './queue.ts';
import { stepReturn } from './return.ts';
import { stepRetention } from './retention.ts';
import { placeOf, Room } from './room.ts';
import { Steps, type World } from './steps.ts';

/** What a step is about, and its key: `namespace/name`; of a decision the UID of its preemptor; of claims {@link claimGroupOf}. */
export type SubjectKind = 'ticket' | 'decision' | 'checkpoint' | 'claims';

/**
 * One kind of step, about one subject. Pure: what it does follows from what it reads of the world, so it is called again when
 * something of that changed, or the time came that it gave to `lookAgainAt` (`agenda.ts`).
 */
interface Stage {
  readonly of: SubjectKind;
  readonly step: (world: World, key: string, steps: Steps) => void;
}

/** In order: where commands of two stages are about one object, the earlier one is carried out. */
export const STAGES: readonly Stage[] = [
  { of: 'ticket', step: onTicket(stepContradiction) },
  {
    of: 'decision',
    step: (world, key, steps) => {
      const decision = world.book.get(key as PodUid);
      if (decision !== undefined) stepDecision(world, decision, steps);
    },
  },
  { of: 'ticket', step: onTicket(stepLeftover) },
  { of: 'checkpoint', step: onCheckpoint(stepDeletedCheckpoint) },
  { of: 'checkpoint', step: onCheckpoint(stepRetention) },
  { of: 'claims', step: stepClaims },
  { of: 'ticket', step: onTicket(stepReturn) },
  { of: 'ticket', step: onTicket(stepQueued) },
];

/** All subjects of a kind that there are. */
export function* subjectsOf({ view, book }: Pick<World, 'view' | 'book'>, kind: SubjectKind): Generator<string> {
  switch (kind) {
    case 'ticket':
      for (const { namespace, name } of view.tickets()) yield objectKey(namespace, name);
      return;
    case 'decision':
      for (const { preemptor } of book.all()) yield preemptor.uid;
      return;
    case 'checkpoint':
      for (const { namespace, name } of view.checkpoints()) yield objectKey(namespace, name);
      return;
    case 'claims':
      yield* new Set([...view.gatedPods()].map(claimGroupOf));
      return;
    default:
      kind satisfies never;
  }
}

/**
 * Everything that has to be written now to bring the cluster nearer to where it should be. Pure and level-triggered: it
 * looks at the world, not at what happened, so it goes on after a crash wherever the records stand.
 */
export function nextSteps(world: World): Steps {
  const steps = new Steps();
  for (const { of, step } of STAGES) for (const key of subjectsOf(world, of)) step(world, key, steps);
  const room = new Room(world.settings.maxConcurrentRestoresPerNode);
  for (const { node } of world.view.nodes()) room.set(node.name, placeOf(world.view, node.name));
  const admission = admit(world, steps.queue.toSorted(byTurn), room, steps);
  while (admission.next().done !== true);
  return steps;
}

function onTicket(step: (world: World, ticket: Ticket, steps: Steps) => void): Stage['step'] {
  return (world, key, steps) => {
    const ticket = world.view.ticket(key as ObjectKey);
    if (ticket !== undefined) step(world, ticket, steps);
  };
}

function onCheckpoint(step: (world: World, checkpoint: Checkpoint, steps: Steps) => void): Stage['step'] {
  return (world, key, steps) => {
    const checkpoint = world.view.checkpoint(key as ObjectKey);
    if (checkpoint !== undefined) step(world, checkpoint, steps);
  };
}
