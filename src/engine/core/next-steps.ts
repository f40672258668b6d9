/**
 * The frame of the engine: what is to be done follows from what is, and one executor does it. Begin with this file.
 *
 *     index, DisplacementBook ──> World ──> STAGES (steps, pure) ──> commands ──> Executor ──> ClusterWriter
 *              ^                                                                                    │
 *              └────────────────────── answers and watch events ────────────────────────────────────┘
 *
 * - `steps.ts`: the `World` that a step reads, and the `Steps` that it fills: commands, displacements to close, pods to queue.
 * - `next-steps.ts`: `STAGES`, every step in its order; `nextSteps` runs all of them over everything.
 * - `agenda.ts`, with `tasks.ts`, `parts.ts`, `readers.ts`, `tracked-view.ts`, `alarms.ts`: the same steps, run only where something
 *   that they read has changed or their time has come.
 * - `reconciler.ts`: when a pass runs, in slices of 2 ms; `sightings.ts`: what was seen between two passes.
 * - `commands.ts`: every kind of write in one table; `executor.ts` carries commands out.
 *
 * Invariants:
 * 1. A step is pure. It reads the cluster through `world.view` and `world.book` only, so that its reads can be noted, and it calls
 *    `lookAgainAt` where it compares the time. A step that breaks this rule is not called again when it should be.
 * 2. `Agenda` gives what `nextSteps` gives (`agenda.property.test.ts`).
 * 3. Where commands of two stages are about one object, the command of the earlier stage is carried out.
 * 4. At most one command about an object is under way. A command that cannot start is dropped: the next pass derives it again.
 * 5. The records are enough to go on after a crash; `sightings.ts` adds what this process saw and no record says.
 */
import { objectKey, type NodeName, type ObjectKey } from '../../domain/ids.ts';
import type { Checkpoint } from '../../domain/checkpoint.ts';
import type { Ticket } from '../../domain/ticket.ts';
import { claimGroupOf, gatedPodsOf, stepClaims } from '../return/claims.ts';
import { stepContradiction } from '../displace/contradictions.ts';
import { stepDisplacement, stepDeletedCheckpoint, stepLeftover } from '../displace/displacement.ts';
import { admit, stepQueued } from '../return/queue.ts';
import { RestoreQueue } from '../return/restore-queue.ts';
import { stepReturn } from '../return/return.ts';
import { PROPOSERS } from '../propose/proposers.ts';
import { stepRetention } from '../checkpoints/retention.ts';
import { placeOf } from '../return/place.ts';
import { Room } from '../return/room.ts';
import { Steps, type World } from './steps.ts';

/**
 * What a step is about, and its key: `namespace/name`; of a displacement its id; of claims {@link claimGroupOf}; of wishes (what people
 * ask to leave a node) the name of the node.
 */
export type SubjectKind = 'ticket' | 'displacement' | 'checkpoint' | 'claims' | 'wishes';

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
    of: 'displacement',
    step: (world, key, steps) => {
      const displacement = world.book.get(key);
      if (displacement !== undefined) stepDisplacement(world, displacement, steps);
    },
  },
  { of: 'ticket', step: onTicket(stepLeftover) },
  ...PROPOSERS.map(({ of, step, budget }): Stage => {
    return { of, step: (world, key, steps) => step(world, key, steps, budget) };
  }),
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
    case 'displacement':
      for (const { id } of book.all()) yield id;
      return;
    case 'checkpoint':
      for (const { namespace, name } of view.checkpoints()) yield objectKey(namespace, name);
      return;
    case 'claims':
      yield* new Set([...view.gatedPods()].map(claimGroupOf));
      return;
    case 'wishes':
      yield* view.nodesToMoveFrom();
      return;
    default:
      kind satisfies never;
  }
}

/** Whether there is such a subject. */
export function exists({ view, book }: Pick<World, 'view' | 'book'>, kind: SubjectKind, key: string): boolean {
  switch (kind) {
    case 'ticket':
      return view.ticket(key as ObjectKey) !== undefined;
    case 'displacement':
      return book.get(key) !== undefined;
    case 'checkpoint':
      return view.checkpoint(key as ObjectKey) !== undefined;
    case 'claims':
      return gatedPodsOf(view, key).length > 0;
    case 'wishes':
      return view.podsToMove(key as NodeName).length > 0 || view.bareNode(key as NodeName)?.evacuateFor != null;
    default:
      return kind satisfies never;
  }
}

/**
 * Everything that has to be written now to bring the cluster nearer to where it should be. Pure and level-triggered: it
 * looks at the world, not at what happened, so it goes on after a crash wherever the records stand.
 */
export function nextSteps(world: World): Steps {
  const steps = new Steps();
  for (const { of, step } of STAGES) for (const key of subjectsOf(world, of)) step(world, key, steps);
  const room = new Room(world.settings.maxConcurrentRestoresPerNode, world.view);
  for (const { node } of world.view.nodes()) room.set(node.name, placeOf(world.view, node.name));
  const admission = admit(world, RestoreQueue.of(steps.queue), room, steps);
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
