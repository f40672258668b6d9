/** What nodes say, and what is believed of them. */
import { preemptionIn } from '../support/preemption.ts';
import type { NodeName } from '../../src/domain/ids.ts';
import { lastEvictionMs } from '../../src/domain/thaw-rule.ts';
import { SILENT_AFTER_MS } from '../../src/kube/agent-lease.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { checkpointOf } from './parsed.ts';
import { unless } from './excuses.ts';
import { checkpointNamed, isCalm, podWith, stands, tickets, WELL_BEHIND_MS, type Invariant } from './evidence.ts';

/** How long an agent tries to thaw a pod again. */
const THAW_MS = 15_000;
/** A node that has been well for this long has told everything that it had to tell. */
const TOLD_MS = 10_000;
/** Reads of a Lease that must find it unchanged before its agent is silent, and the age of a Lease when its agent dies. */
const NOTICED_MS = 20_000;

export const NODE_INVARIANTS = {
  'a frozen pod says that it is frozen': (truth, seen) => {
    if (seen.kind !== 'second') return null;
    for (const machine of truth.world.machines.values()) {
      if (!machine.hasBeenWell(TOLD_MS)) continue;
      for (const { state, stateSeconds, frozenBy, pod } of machine.state?.containers.values() ?? []) {
        if (state !== 'frozen' || stateSeconds * 1000 < TOLD_MS) continue;
        const uid = frozenBy?.split('_')[2];
        const raw = truth.world.api.list(RESOURCES.podCheckpoints).find(({ metadata }) => metadata.uid === uid);
        const { frozen, failure, deleting, release, thawAtMs, deadlineMs } =
          raw === undefined ? NOTHING : checkpointOf(raw);
        // From here on its agent is about to thaw it.
        const isOver =
          deleting ||
          release !== null ||
          failure !== null ||
          truth.world.clock.now() >= lastEvictionMs(thawAtMs ?? deadlineMs ?? Infinity);
        if (!frozen && !isOver)
          return `${pod.metadata.name} has stood frozen for ${stateSeconds} s, and no record says so`;
      }
    }
    return null;
  },

  'a pod that is never marked is thawed without asking anybody': (truth, seen) => {
    if (seen.kind !== 'second') return null;
    const before = new Set(truth.copied);
    truth.copied.clear();
    for (const machine of truth.world.machines.values()) {
      if (!machine.agentHasRun(TOLD_MS)) continue;
      for (const { state, hold, uid, pod } of machine.state?.containers.values() ?? []) {
        if (state !== 'frozen' || hold?.isSaved !== true || hold.keepFrozen) continue;
        truth.copied.add(uid);
        if (!before.has(uid)) continue;
        const broken = `${pod.metadata.name} stands frozen on ${machine.spec.name}, and is saved by a request that lets it run on`;
        const verdict = unless(truth, 'a pod that is never marked is thawed without asking anybody', broken, {
          'a thaw that fails': () => truth.world.clock.now() - truth.world.thawFailedMs < THAW_MS,
        });
        if (verdict !== null) return verdict;
      }
    }
    return null;
  },

  'the leader knows which agents are silent': (truth, seen) => {
    if (seen.kind !== 'second' || !isCalm(truth) || truth.reach === null) return null;
    for (const { spec, agentSilentMs } of truth.world.machines.values()) {
      const renewedMs = truth.renewalsMs.get(spec.name)?.at(-1) ?? Infinity;
      const silentMs = Math.min(agentSilentMs, truth.world.elapsedMs - renewedMs);
      if (silentMs < SILENT_AFTER_MS + NOTICED_MS) continue;
      const isKnown = truth.world.api.list(RESOURCES.nodes).some(({ metadata }) => metadata.name === spec.name);
      if (isKnown && !truth.takesForSilent(truth.holder ?? '', spec.name as NodeName))
        return `the agent of ${spec.name} has been silent for ${silentMs} ms, and ${truth.holder ?? ''} counts on it`;
    }
    return null;
  },

  'nobody waits for a silent agent': (truth, seen) => {
    if (seen.kind !== 'second' || !isCalm(truth)) return null;
    for (const { phase, name, pod, displacement, checkpoint } of tickets(truth)) {
      const machine = truth.world.machines.get(preemptionIn(displacement).node);
      if (phase !== 'Saving' || machine === undefined || machine.agentSilentMs < SILENT_AFTER_MS + NOTICED_MS) continue;
      const raw = checkpointNamed(truth, checkpoint);
      if (raw === undefined || checkpointOf(raw).ready || checkpointOf(raw).deleting) continue;
      if (truth.world.clock.now() - checkpointOf(raw).creationMs < WELL_BEHIND_MS || !stands(podWith(truth, pod.uid)))
        continue;
      return `${name} waits for the agent of ${preemptionIn(displacement).node}, which has been silent for ${machine.agentSilentMs} ms`;
    }
    return null;
  },
} as const satisfies Record<string, Invariant>;

const NOTHING = { frozen: false, failure: null, deleting: true, release: null, thawAtMs: null, deadlineMs: null };
