/** A controller as others write them: its pods have ranks, which only their names or a label tell. Its resource stands in no API server. */
import { KubeClient } from '../../src/kube/client.ts';
import type { KubeObject, KubeTransport } from '../../src/kube/transport.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { ClusterInformers } from '../../src/sim/controllers/cluster-informers.ts';
import {
  isActivePod,
  isDeleting,
  phaseOf,
  podFromTemplate,
  splitKey,
  uidOf,
} from '../../src/sim/controllers/objects.ts';
import { enqueueOwner, PodControl } from '../../src/sim/controllers/pod-control.ts';
import { WorkQueue } from '../../src/sim/controllers/work-queue.ts';

/** Label of its pods: what tells the work of one from that of another. */
export const RANK_LABEL = 'teams.example/rank';
const TEAM_KIND = 'Team';

export interface TeamSpec {
  readonly size: number;
  /** Kept: a pod has the name of the one before it. Generated: the API server chooses each name. */
  readonly names: 'Kept' | 'Generated';
  readonly template: Parameters<typeof podFromTemplate>[0];
}

export interface Team extends TeamSpec {
  readonly name: string;
  readonly uid: string;
}

/** What users say of teams. */
export class Teams {
  readonly #teams = new Map<string, Team>(); // name
  #onChange: (name: string) => void = () => undefined;

  get(name: string): Team | undefined {
    return this.#teams.get(name);
  }

  list(): readonly Team[] {
    return [...this.#teams.values()];
  }

  put(name: string, spec: Partial<TeamSpec>): void {
    const team = this.#teams.get(name);
    const fresh = { name, uid: `team-${name}`, size: 1, names: 'Kept', template: null } as const;
    this.#teams.set(name, { ...(team ?? fresh), ...spec });
    this.#onChange(name);
  }

  /** Its controller deletes its pods. */
  delete(name: string): void {
    if (this.#teams.has(name)) this.put(name, { size: 0 });
  }

  /** Of the process that runs now. */
  follow(onChange: (name: string) => void): void {
    this.#onChange = onChange;
    for (const name of this.#teams.keys()) onChange(name);
  }
}

export function startTeamController(
  transport: KubeTransport,
  clock: Clock,
  { informers, teams }: { readonly informers: ClusterInformers; readonly teams: Teams },
): void {
  const podControl = new PodControl(new KubeClient(transport), clock, informers);
  const queue = new WorkQueue({ clock, ready: informers.synced() }, async (key) => {
    const team = teams.get(splitKey(key).name);
    if (team === undefined || !podControl.isUpToDate(team.uid)) return;
    const owner = objectOf(team);
    const pods = informers.dependentsOf(team.uid);
    for (const pod of pods)
      if (Number(pod.metadata.labels?.[RANK_LABEL]) >= team.size && !isDeleting(pod))
        await podControl.delete(owner, pod);
    for (let rank = 0; rank < team.size; rank++) await fill(team, rank, pods);
  });

  async function fill(team: Team, rank: number, pods: readonly KubeObject[]): Promise<void> {
    const owner = objectOf(team);
    const ranked = pods.filter(({ metadata }) => metadata.labels?.[RANK_LABEL] === String(rank));
    if (ranked.some((pod) => isActivePod(pod) || phaseOf(pod) === 'Succeeded')) return;
    const failed = ranked.find((pod) => phaseOf(pod) === 'Failed' && !isDeleting(pod));
    if (failed !== undefined) await podControl.delete(owner, failed);
    else if (team.names === 'Generated' || ranked.length === 0) await podControl.create(owner, podOfRank(team, rank));
  }

  const add = (key: string): void => queue.add(key);
  informers.pods.onChange(enqueueOwner(TEAM_KIND, add));
  teams.follow((name) => add(`default/${name}`));
}

function objectOf({ name, uid }: Team): KubeObject {
  return { apiVersion: 'teams.example/v1', kind: TEAM_KIND, metadata: { name, namespace: 'default', uid } };
}

function podOfRank(team: Team, rank: number): object {
  const { apiVersion = '', kind = '' } = objectOf(team);
  const owner = [{ apiVersion, kind, name: team.name, uid: uidOf(objectOf(team)), controller: true }];
  return podFromTemplate(team.template, {
    namespace: 'default',
    ...(team.names === 'Kept' ? { name: `${team.name}-worker-${rank}` } : { generateName: `${team.name}-` }),
    owner,
    labels: { [RANK_LABEL]: String(rank) },
  });
}
