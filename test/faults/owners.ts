/** How users change the controllers of batch pods: what the rows of `fault-table.ts` about owners are made of. */
import { RESOURCES, type ResourceType } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { controllerRefOf } from '../../src/sim/controllers/objects.ts';
import { withOtherImage } from './operations.ts';
import { ticketOf } from './parsed.ts';
import { isServing, pickOne } from './strikes.ts';
import type { PlannedFault } from './plan.ts';
import type { World } from './world.ts';

/** Null: a team, which stands in no API server. */
interface Owner {
  readonly type: ResourceType | null;
  readonly name: string;
  readonly uid: string;
  readonly spec: OwnerSpec;
}

interface OwnerSpec {
  readonly replicas?: number;
  readonly parallelism?: number;
  readonly completions?: number;
  readonly completionMode?: string;
  readonly suspend?: boolean;
  readonly size?: number;
  readonly template?: unknown;
}

const KINDS = ['deployments', 'statefulSets', 'replicationControllers', 'jobs'] as const;

/** A little larger or smaller, or nothing at all. */
export function scale(world: World, fault: PlannedFault): void {
  const owner = ownerOf(
    world,
    fault,
    ({ spec }) => spec.completionMode !== 'Indexed' || spec.completions !== undefined,
  );
  if (owner === null) return;
  const { replicas, parallelism, size } = owner.spec;
  const now = replicas ?? parallelism ?? size ?? 1;
  const wanted = Math.min(4, Math.max(0, [now - 1, now + 1, 0][fault.calls % 3] as number));
  world.say(`  scales ${owner.name} from ${now} to ${wanted}`);
  if (owner.type === null) world.teams.put(owner.name, { size: wanted });
  else if (owner.type !== RESOURCES.jobs) patch(world, owner, { replicas: wanted });
  // An indexed Job is elastic where both change together.
  else if (owner.spec.completionMode === 'Indexed')
    patch(world, owner, { parallelism: Math.max(1, wanted), completions: Math.max(1, wanted) });
  else patch(world, owner, { parallelism: wanted });
}

/** Forth, and back with the next one. The template of a Job cannot change. */
export function rollOut(world: World, fault: PlannedFault): void {
  const owner = ownerOf(world, fault, ({ type }) => type !== RESOURCES.jobs);
  if (owner === null) return;
  const template = withOtherImage(owner.spec.template);
  world.say(`  rolls ${owner.name} out`);
  if (owner.type === null) world.teams.put(owner.name, { template });
  else patch(world, owner, { template });
}

export function deleteOwner(world: World, fault: PlannedFault): void {
  const owner = ownerOf(world, fault, () => true);
  if (owner === null) return;
  world.say(`  deletes ${owner.name}`);
  const { type } = owner;
  if (type === null) world.teams.delete(owner.name);
  else void world.tryTo(() => world.admin.delete(type, 'default', owner.name));
}

export function suspend(world: World, fault: PlannedFault): void {
  const owner = ownerOf(world, fault, ({ type, spec }) => type === RESOURCES.jobs && !spec.suspend);
  if (owner === null) return;
  world.say(`  suspends ${owner.name}`);
  patch(world, owner, { suspend: true });
  world.clock.setTimer(fault.lengthMs, () => patch(world, owner, { suspend: false }));
}

export function resumeJobs(world: World): void {
  for (const owner of owners(world)) if (owner.spec.suspend) patch(world, owner, { suspend: false });
}

/** Most often one whose pod is being displaced, or is missed. */
function ownerOf(world: World, { pick }: PlannedFault, wanted: (owner: Owner) => boolean): Owner | null {
  const all = owners(world).filter(wanted);
  const concerned = new Set<string>(
    world.api.list(RESOURCES.reprieves).map((ticket) => ticketOf(ticket).owner?.uid ?? ''),
  );
  for (const replicaSet of world.api.list(RESOURCES.replicaSets))
    if (concerned.has(replicaSet.metadata.uid ?? '')) concerned.add(controllerRefOf(replicaSet)?.uid ?? '');
  const missed = all.filter(({ uid }) => concerned.has(uid));
  return pickOne(missed.length > 0 && pick < 0.8 ? missed : all, (pick * 7) % 1);
}

function owners(world: World): readonly Owner[] {
  const stored = KINDS.flatMap((kind) =>
    world.api
      .list(RESOURCES[kind])
      .filter(({ metadata }) => !isServing(metadata.name) && metadata.deletionTimestamp === undefined)
      .map((object) => ownerFrom(RESOURCES[kind], object)),
  );
  const teams = world.teams.list().map((team) => ({ type: null, name: team.name, uid: team.uid, spec: team }));
  return [...stored, ...teams.filter(({ spec }) => spec.size > 0)];
}

function ownerFrom(type: ResourceType, { metadata, spec }: KubeObject): Owner {
  return { type, name: metadata.name, uid: metadata.uid ?? '', spec: spec as OwnerSpec };
}

function patch(world: World, { type, name }: Owner, spec: object): void {
  if (type !== null) void world.tryTo(() => world.admin.patch(type, 'default', name, { spec }, { type: 'merge' }));
}
