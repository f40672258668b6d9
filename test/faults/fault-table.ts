import { DECIDE_ANNOTATION } from '../../src/domain/labels.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { KubeRequest, WatchEvent } from '../../src/kube/transport.ts';
import { isGated } from './evidence.ts';
import { deleteOwner, rollOut, scale, suspend } from './owners.ts';
import type { PlannedFault } from './plan.ts';
import type { Mishap, StreamMishap } from './process.ts';
import {
  batchPod,
  cordon,
  cut,
  drain,
  evict,
  garble,
  harass,
  hit,
  isBound,
  isServing,
  killAgent,
  killReplica,
  killScheduler,
  machineOf,
  namespaceOf,
  nodeFault,
  outrank,
  overAfter,
  pause,
  pickOne,
  pickPod,
  remove,
  siblingOfVictim,
  stopReplica,
  taint,
  thawsInMs,
  unlabel,
  victimPod,
} from './strikes.ts';
import type { World } from './world.ts';

export interface Fault {
  readonly what: string;
  readonly strike: (world: World, fault: PlannedFault) => void;
}

/** Everything that can go wrong, by name. Each ends by itself after `lengthMs`, and at the latest when the faults are over. */
export const FAULTS = {
  // Reprieve's own processes
  'leader dies': {
    what: 'SIGKILL; another process starts after a while',
    strike: (world, { lengthMs }) => killReplica(world, world.leader()?.index, lengthMs),
  },
  'follower dies': {
    what: 'the replica that does not lead',
    strike: (world, { lengthMs }) => killReplica(world, world.follower()?.index, lengthMs),
  },
  'both replicas die': {
    what: 'nobody answers and nobody writes',
    strike: (world, { lengthMs, pick }) => {
      killReplica(world, 0, lengthMs);
      killReplica(world, 1, Math.round(lengthMs * (0.5 + pick)));
    },
  },
  'leader dies at a request': {
    what: 'right before or right after one of its next requests takes effect',
    strike: (world, { lengthMs, calls, pick }) => {
      const leader = world.leader();
      leader?.replica.process.setTrap({
        calls,
        when: whenOf(pick),
        run: () => killReplica(world, leader.index, lengthMs),
      });
    },
  },
  'leader is stopped': {
    what: 'SIGTERM: it gives its Lease back, and the other one leads at once, however far its watches are behind',
    strike: (world, { lengthMs }) => stopReplica(world, world.leader()?.index, lengthMs),
  },
  'a follower that is behind takes over': {
    what: 'the records reach it twenty seconds late, and the leader is stopped soon after it has written some',
    strike: (world, { lengthMs, pick }) => {
      const isOver = overAfter(world, 90_000);
      const late = ({ object }: WatchEvent): StreamMishap | null =>
        RECORDS.has(object.kind ?? '') ? { kind: 'late', ms: 20_000 } : null;
      world.follower()?.replica.process.garble(late, isOver);
      world.next('Saving', () =>
        world.clock.setTimer(Math.round(pick * 3_000), () => {
          if (!isOver()) stopReplica(world, world.leader()?.index, lengthMs);
        }),
      );
    },
  },
  'leadership comes back': {
    what: 'the leader stands still and loses its lease; later it wins it back, and has not forgotten what it was at',
    strike: (world, { lengthMs, pick }) => {
      const first = world.leader();
      pause(world, first?.replica.process, 16_000);
      world.clock.setTimer(20_000 + Math.round(pick * 60_000), () => {
        const second = world.leader();
        if (!world.isQuiet && second?.index !== first?.index) stopReplica(world, second?.index, lengthMs);
      });
    },
  },
  'another leads while an undo is stuck': {
    what: 'agents die soon after a checkpoint is released or deleted, and the leader is stopped: its successor finds what was off',
    strike: (world, { lengthMs, pick }) =>
      world.next('undoing', () =>
        world.clock.setTimer(Math.round(pick * 2_000), () => {
          if (world.isQuiet) return;
          for (const machine of world.machines.values()) killAgent(world, machine, 10_000 + lengthMs);
          stopReplica(world, world.leader()?.index, lengthMs);
        }),
      ),
  },
  'leader stands still': {
    what: 'and wakes up after its lease has run out',
    strike: (world, { lengthMs }) => pause(world, world.leader()?.replica.process, 16_000 + lengthMs),
  },
  'leader stands still at a request': {
    what: 'between two of its own steps, for longer than its lease',
    strike: (world, { lengthMs, calls, pick }) => {
      const process = world.leader()?.replica.process;
      process?.setTrap({ calls, when: whenOf(pick), run: () => pause(world, process, 16_000 + lengthMs) });
    },
  },
  'leader hesitates': {
    what: 'it stands still for less than its lease',
    strike: (world, { pick }) => pause(world, world.leader()?.replica.process, 500 + Math.round(pick * 8_000)),
  },
  'follower stands still': {
    what: 'its index and its idea of the Lease grow old',
    strike: (world, { lengthMs }) => pause(world, world.follower()?.replica.process, lengthMs),
  },
  'leader is cut off': {
    what: 'no request and no event reaches it or comes from it',
    strike: (world, { lengthMs }) => cut(world, world.leader()?.replica.process, lengthMs),
  },
  'both replicas are cut off': {
    what: 'from the API server; kube-scheduler still reaches them',
    strike: (world, { lengthMs }) => {
      for (const replica of world.replicas) cut(world, replica?.process, lengthMs);
    },
  },
  'clock of the leader jumps': {
    what: 'by up to ten minutes, back or forth',
    strike: (world, { pick }) => world.leader()?.replica.process.jumpClock(Math.round((pick - 0.5) * 1_200_000)),
  },
  'clock of the follower jumps': {
    what: 'by up to a minute, back or forth',
    strike: (world, { pick }) => world.follower()?.replica.process.jumpClock(Math.round((pick - 0.5) * 120_000)),
  },
  'clock of an agent jumps': {
    what: 'by up to two minutes, back or forth',
    strike: (world, fault) => machineOf(world, fault)?.agent.jumpClock(Math.round((fault.pick - 0.5) * 240_000)),
  },
  'webhook is away': {
    what: 'replacements come past it',
    strike: (world, { lengthMs }) => void (world.until.webhookAway = world.elapsedMs + lengthMs),
  },

  // kube-scheduler and the controllers
  'scheduler dies': {
    what: 'with its queue and its nominations',
    strike: (world, { lengthMs }) => killScheduler(world, lengthMs),
  },
  'scheduler dies at a request': {
    what: 'right before or after a binding, an eviction or a status',
    strike: (world, { lengthMs, calls, pick }) =>
      world.schedulerProcess?.setTrap({ calls, when: whenOf(pick), run: () => killScheduler(world, lengthMs) }),
  },
  'scheduler is cut off': {
    what: 'its picture grows old, and it goes on asking',
    strike: (world, { lengthMs }) => cut(world, world.schedulerProcess, lengthMs),
  },
  'scheduler asks the follower': {
    what: 'its connection stayed where the leader was',
    strike: (world, { lengthMs }) => void (world.until.staleEndpoint = world.elapsedMs + lengthMs),
  },
  'scheduler reaches nobody': {
    what: 'every callback is refused',
    strike: (world, { lengthMs }) => void (world.until.extenderAway = world.elapsedMs + lengthMs),
  },
  'answers to the scheduler are lost': {
    what: 'the engine has decided, kube-scheduler does not know',
    strike: (world, { lengthMs }) => void (world.until.answersLost = world.elapsedMs + lengthMs),
  },
  'controllers die': {
    what: 'with what they expected',
    strike: (world, { lengthMs }) => {
      world.controllersProcess?.kill();
      world.clock.setTimer(lengthMs, () => {
        if (!world.controllersProcess?.isAlive) world.startControllers();
      });
    },
  },

  // nodes
  'agent dies': {
    what: 'dumps end unfinished, frozen pods stand still',
    strike: (world, fault) => killAgent(world, machineOf(world, fault), fault.lengthMs),
  },
  'agent dies at a request': {
    what: 'right before or right after a mark, a report or a finalizer',
    strike: (world, fault) => {
      const machine = machineOf(world, fault);
      machine?.agent.setTrap({
        calls: fault.calls,
        when: whenOf(fault.pick * 7),
        run: () => killAgent(world, machine, fault.lengthMs),
      });
    },
  },
  'agent is cut off': {
    what: 'from the API server, alone',
    strike: (world, fault) => cut(world, machineOf(world, fault)?.agent, fault.lengthMs),
  },
  'the API server is away while a pod is frozen': {
    what: 'from every agent, for longer than any hold; from the kubelets as well, or not',
    strike: (world, { lengthMs, pick }) =>
      world.next('frozen', () => {
        if (world.isQuiet) return;
        for (const { agent, kubelet } of world.machines.values()) {
          cut(world, agent, 100_000 + lengthMs);
          if (pick < 0.5) cut(world, kubelet, 100_000 + lengthMs);
        }
      }),
  },
  'an agent is started again without the API server': {
    what: 'while it holds a pod frozen; or no replica of Reprieve runs until agents without the API server have thawed',
    strike: (world, fault) =>
      world.next('saved', () => {
        const machine = machineOf(world, fault);
        if (world.isQuiet) return;
        if (fault.pick > 0.6) {
          const thawedMs = thawsInMs(world) + 2_000;
          for (const { agent } of world.machines.values()) cut(world, agent, thawedMs + 60_000);
          for (const place of world.replicas.keys()) killReplica(world, place, thawedMs);
          return;
        }
        cut(world, machine?.agent, 100_000 + fault.lengthMs);
        killAgent(world, machine, 2_000);
      }),
  },
  'freezes fail': {
    what: 'runc does not say which containers there are, the first few times',
    strike: (world, { calls }) => nodeFault(world, 'freezeFails', 1 + (calls % 3)),
  },
  'thaws fail': {
    what: 'runc says no, the first few times',
    strike: (world, { calls }) => nodeFault(world, 'thawFails', 1 + (calls % 3)),
  },
  'node is cut off': {
    what: 'kubelet and agent hear and say nothing; what runs there runs on',
    strike: (world, fault) => {
      const machine = machineOf(world, fault);
      cut(world, machine?.agent, fault.lengthMs);
      cut(world, machine?.kubelet, fault.lengthMs);
    },
  },
  'node stands still': {
    what: 'a virtual machine that is suspended',
    strike: (world, fault) => {
      const machine = machineOf(world, fault);
      pause(world, machine?.agent, fault.lengthMs);
      pause(world, machine?.kubelet, fault.lengthMs);
    },
  },
  'node dies': {
    what: 'with its disk; it comes back empty',
    strike: (world, fault) => {
      const machine = machineOf(world, fault);
      if (machine === null) return;
      machine.kill();
      void world.nodeLifecycle.noticeDead(machine);
      world.clock.setTimer(fault.lengthMs * 4, () => {
        if (world.machines.get(machine.spec.name) === machine) world.boot(machine.spec);
      });
    },
  },
  'node is removed': {
    what: 'its object goes, its pods are collected; one of that name may come later',
    strike: (world, fault) => {
      const machine = machineOf(world, fault);
      if (machine === null || world.machines.size <= 1) return;
      void world.removeNode(machine.spec.name);
      if (fault.pick < 0.5) return;
      world.clock.setTimer(30_000 + fault.lengthMs, () => {
        if (!world.machines.has(machine.spec.name)) world.boot(machine.spec);
      });
    },
  },
  'node is cordoned': {
    what: 'and uncordoned later',
    strike: (world, fault) => cordon(world, machineOf(world, fault), fault.lengthMs),
  },
  'node is drained': {
    what: 'cordoned, and its pods evicted over the eviction API, again and again until none is left',
    strike: (world, fault) => drain(world, machineOf(world, fault), fault.lengthMs),
  },
  'node is emptied by a taint': {
    what: 'NoExecute, taken off later: pods that do not tolerate it are deleted, and others after a while',
    strike: (world, fault) => taint(world, machineOf(world, fault), fault.lengthMs),
  },
  'node loses a label': {
    what: 'one that pods select their nodes by; it comes back later',
    strike: (world, fault) => unlabel(world, machineOf(world, fault), fault.lengthMs),
  },
  'dumps fail': {
    what: 'CRIU says no, or the disk is full',
    strike: (world, { calls }) => nodeFault(world, 'dumpFails', calls),
  },
  'a disk is slow': {
    what: 'saving and reading take twenty times as long',
    strike: (world, fault) => {
      const name = machineOf(world, fault)?.spec.name;
      if (name !== undefined) world.slowDisks.set(name, world.elapsedMs + fault.lengthMs);
    },
  },
  'dumps hang': { what: 'until somebody ends them', strike: (world) => nodeFault(world, 'dumpHangs', 1) },
  'restores fail': {
    what: 'CRIU says no, once or on one node after the other',
    strike: (world, { calls }) => nodeFault(world, 'restoreFails', calls),
  },
  'saved states are lost': {
    what: 'files on the disk of a node are gone or do not match their digests',
    strike: (world, fault) => {
      const store = machineOf(world, fault)?.state?.store;
      for (const reference of store?.references() ?? []) store?.remove(reference);
    },
  },

  'a slow eviction meets a thaw': {
    what: 'a checkpoint is deleted while the requests of the leader take seconds; or agents without the API server thaw before a delete arrives',
    strike: (world, { pick }) =>
      world.next('saved', () => {
        if (world.isQuiet) return;
        if (pick > 0.6) {
          const thawedMs = thawsInMs(world) + 2_000;
          for (const { agent } of world.machines.values()) cut(world, agent, thawedMs + 20_000);
          const slow = ({ method, path }: KubeRequest): Mishap | null =>
            method === 'DELETE' && path.includes('/pods/') ? { kind: 'slow', ms: thawedMs } : null;
          world.leader()?.replica.process.harass(slow, overAfter(world, thawedMs));
          return;
        }
        const isOver = overAfter(world, 15_000);
        world.leader()?.replica.process.harass(() => ({ kind: 'slow', ms: 1_500 }), isOver);
        world.clock.setTimer(Math.round(pick * (5_000 + world.plan.lagMs)), () => {
          for (const { metadata } of world.api.list(RESOURCES.podCheckpoints)) {
            void world.tryTo(() => world.admin.delete(RESOURCES.podCheckpoints, 'default', metadata.name));
          }
        });
      }),
  },

  'an agent never answers': {
    what: 'until all faults are over: it is dead, or stands still',
    strike: (world, fault) => {
      const machine = machineOf(world, fault);
      if (fault.calls % 2 === 0) killAgent(world, machine, UNTIL_MENDED_MS);
      else pause(world, machine?.agent, UNTIL_MENDED_MS);
    },
  },

  // the API server and the way to it
  'requests are lost': {
    what: 'one in three never arrives',
    strike: (world, fault) => harass(world, fault, { kind: 'lost' }),
  },
  'answers are lost': {
    what: 'one in three takes effect and seems to have failed',
    strike: (world, fault) => harass(world, fault, { kind: 'answer-lost' }),
  },
  'requests are refused': {
    what: 'one in three gets a 429, 500, 503 or 504',
    strike: (world, fault) => {
      const code = [429, 500, 503, 504][fault.calls % 4] as number;
      harass(world, fault, { kind: 'refused', status: code, reason: REASONS[code] as string });
    },
  },
  'requests are slow': {
    what: 'one in three takes seconds; some take effect after their sender gave up',
    strike: (world, fault) => harass(world, fault, { kind: 'slow', ms: fault.calls * 2_000 }),
  },
  'watches break': {
    what: 'all of one process, or of all',
    strike: (world, fault) => {
      if (fault.pick < 0.5) world.api.closeWatches();
      else for (const process of hit(world, fault)) process.breakWatches();
    },
  },
  'history is compacted': {
    what: 'watches break, and get a 410: everything is listed again',
    strike: (world) => {
      world.api.compact();
      world.api.closeWatches();
    },
  },

  'events arrive again': {
    what: 'one in three comes with the few before it once more, as after a stream that went back',
    strike: (world, fault) => garble(world, hit(world, fault), fault, () => ({ kind: 'again' })),
  },
  'events come late': {
    what: 'some by up to twenty seconds, and all behind them, while requests are answered as ever',
    strike: (world, fault) => {
      const random = world.random.fork(`late ${fault.pick}`);
      garble(world, hit(world, fault), fault, () => ({ kind: 'late', ms: random.integer(1, 20) * 1000 }));
    },
  },
  'events are lost': {
    what: 'one in three never comes, until Reprieve lists everything again',
    strike: (world, fault) => {
      const lengthMs = Math.min(fault.lengthMs, 30_000);
      for (const replica of world.replicas) {
        if (!replica?.process.isAlive) continue;
        garble(world, [replica.process], { ...fault, lengthMs }, () => ({ kind: 'lost' }));
        world.clock.setTimer(lengthMs, () => replica.process.expireWatches());
      }
    },
  },

  // controllers, as their users change them
  'an owner is scaled': {
    what: 'by one, or to nothing; most often one whose pod is displaced',
    strike: scale,
  },
  'an owner rolls out': {
    what: 'another template, or the one before',
    strike: rollOut,
  },
  'an owner is deleted': {
    what: 'and its pods with it',
    strike: deleteOwner,
  },
  'a Job is suspended': {
    what: 'and resumed later',
    strike: suspend,
  },

  // other people
  'a quota is exhausted': {
    what: 'nobody may create pods any more, for a while',
    strike: (world, { lengthMs }) => {
      const isOver = overAfter(world, lengthMs);
      for (const process of [...world.replicas.map((replica) => replica?.process), world.controllersProcess])
        process?.harass(
          ({ method, path }) =>
            method === 'POST' && path.endsWith('/pods') ? { kind: 'refused', status: 403, reason: 'Forbidden' } : null,
          isOver,
        );
    },
  },
  'pods are refused': {
    what: 'by an admission policy, for a while: those of batch, or those with our RuntimeClass, whose lack may be seen',
    strike: (world, { pick, lengthMs }) => {
      if (pick < 0.5) {
        world.until.podsRefused = world.elapsedMs + lengthMs;
        return;
      }
      world.until.classRefused = world.elapsedMs + lengthMs;
      if (pick < 0.75) return;
      world.until.classMissing = world.elapsedMs + lengthMs;
      for (const replica of world.replicas) {
        replica?.reprieve.setRuntimeClass(false);
        world.clock.setTimer(lengthMs, () => replica?.reprieve.setRuntimeClass(true));
      }
    },
  },
  'another extender refuses a node': {
    what: 'to more important pods, also after it was emptied for them',
    strike: (world, fault) => {
      const name = machineOf(world, fault)?.spec.name;
      if (name !== undefined) world.refusedNodes.set(name, world.elapsedMs + fault.lengthMs);
    },
  },
  'a budget changes': {
    what: 'one comes, demands more or less, or goes',
    strike: (world, { pick, calls }) => {
      const name = 'changing';
      const stands = world.api.list(RESOURCES.podDisruptionBudgets).some(({ metadata }) => metadata.name === name);
      const minAvailable = calls % 3;
      void world.tryTo(() => {
        if (stands && pick < 0.4) return world.admin.delete(RESOURCES.podDisruptionBudgets, 'default', name);
        if (stands)
          return world.admin.patch(
            RESOURCES.podDisruptionBudgets,
            'default',
            name,
            { spec: { minAvailable } },
            { type: 'merge' },
          );
        return world.admin.create(RESOURCES.podDisruptionBudgets, 'default', {
          metadata: { name, namespace: 'default' },
          spec: { minAvailable, selector: { matchLabels: { tier: pick < 0.5 ? 'special' : 'common' } } },
        });
      });
    },
  },
  'priorities change': {
    what: 'new batch pods are more important than those before, or than what comes for their room',
    strike: (world, { pick }) => {
      const value = [10, 500, 1500][Math.floor(pick * 3)];
      void world.tryTo(async () => {
        await world.admin.delete(RESOURCES.priorityClasses, null, 'batch');
        return world.admin.create(RESOURCES.priorityClasses, null, { metadata: { name: 'batch' }, value });
      });
    },
  },
  'a pod is deleted': {
    what: 'one of the batch pods, by hand',
    strike: (world, fault) => remove(world, batchPod(world, fault)),
  },
  'a pod is deleted by force': {
    what: 'its object goes at once, whatever still runs',
    strike: (world, fault) => remove(world, batchPod(world, fault), 0),
  },
  'a pod is evicted': {
    what: 'over the eviction API',
    strike: (world, fault) => {
      const pod = batchPod(world, fault);
      if (pod !== null) evict(world, pod);
    },
  },
  'a pod crashes': {
    what: 'its process ends with an error, frozen or not',
    strike: (world, fault) => {
      const pod = pickPod(world, fault, ({ metadata, spec }) => !isServing(metadata.name) && isBound(spec));
      if (pod === null) return;
      world.say(`  hits ${pod.metadata.name}`);
      const { nodeName = '' } = pod['spec'] as { readonly nodeName?: string };
      world.machines.get(nodeName)?.nodes.crashPod(nodeName, pod.metadata.uid ?? '');
    },
  },
  'a gate is removed by hand': {
    what: 'of a pod that waits to be restored: it means now',
    strike: (world, fault) => {
      const pod = pickPod(world, fault, isGated);
      if (pod === null) return;
      const spec = { schedulingGates: [] };
      void world.tryTo(() =>
        world.admin.patch(RESOURCES.pods, namespaceOf(pod), pod.metadata.name, { spec }, { type: 'merge' }),
      );
    },
  },
  'a person decides': {
    what: 'what becomes of a saved state, by an annotation on its ticket, sensible or not',
    strike: (world, { pick, calls }) => {
      const ticket = pickOne(world.api.list(RESOURCES.reprieves), pick);
      if (ticket === null) return;
      const annotations = { [DECIDE_ANNOTATION]: ['retry', 'cold', 'abandon', 'yes'][calls % 4] };
      void world.tryTo(() =>
        world.admin.patch(
          RESOURCES.reprieves,
          'default',
          ticket.metadata.name,
          { metadata: { annotations } },
          { type: 'merge' },
        ),
      );
    },
  },
  'a more important pod comes': {
    what: 'it needs the same node as a pod for which victims are being saved there',
    strike: (world, { pick, lengthMs }) =>
      world.next(pick < 0.3 ? 'ordered' : pick < 0.6 ? 'frozen' : 'saved', () => outrank(world, 20_000 + lengthMs)),
  },
  'a replacement comes past the webhook': {
    what: 'the webhook does not answer while a pod is displaced; then a user deletes another pod of the same owner',
    strike: (world, fault) =>
      world.next('Displacing', () => {
        world.until.webhookAway = Math.max(world.until.webhookAway, world.elapsedMs + 1_500 + 500 * fault.calls);
        for (const afterMs of [3_000, 6_000, 9_000])
          world.clock.setTimer(Math.round(afterMs * (0.5 + fault.pick)), () =>
            remove(world, siblingOfVictim(world, fault)),
          );
      }),
  },
  'a preemptor leaves': {
    what: 'it is deleted while room is being made for it',
    strike: (world, fault) =>
      remove(
        world,
        pickPod(world, fault, ({ metadata, spec }) => isServing(metadata.name) && !isBound(spec)),
      ),
  },
  'a victim is deleted': {
    what: 'one that is being saved or displaced',
    strike: (world, fault) => remove(world, victimPod(world, fault)),
  },
  'a checkpoint is deleted': {
    what: 'by hand',
    strike: (world, fault) => {
      const checkpoint = pickOne(world.api.list(RESOURCES.podCheckpoints), fault.pick);
      if (checkpoint === null) return;
      void world.tryTo(() => world.admin.delete(RESOURCES.podCheckpoints, 'default', checkpoint.metadata.name));
    },
  },
  'a user saves a pod': {
    what: 'a Manual checkpoint, also of one that is being saved for a preemption',
    strike: (world, fault) => {
      const pod = (fault.calls % 2 === 0 ? victimPod(world, fault) : null) ?? batchPod(world, fault);
      const { nodeName } = (pod?.['spec'] ?? {}) as { readonly nodeName?: string };
      if (pod === null || nodeName === undefined) return;
      world.say(`  hits ${pod.metadata.name}`);
      const { name, uid } = pod.metadata;
      void world.tryTo(() =>
        world.admin.create(RESOURCES.podCheckpoints, 'default', {
          metadata: { name: `manual-${Math.round(world.elapsedMs)}`, namespace: 'default' },
          spec: { pod: { name, uid }, node: nodeName, reason: 'Manual', hold: 'None' },
        }),
      );
    },
  },
  'a user deletes a bare pod behind its gate': {
    what: 'one that was created again and waits for capacity',
    strike: (world, fault) =>
      remove(
        world,
        pickPod(world, fault, (pod) => pod.metadata.name.startsWith('bare-') && isGated(pod)),
      ),
  },
  'a record is damaged': {
    what: 'a ticket that cannot be true: no checkpoint of a victim, or a deadline that is years away',
    strike: (world, { pick, calls }) => {
      const ticket = pickOne(world.api.list(RESOURCES.reprieves), pick);
      if (ticket === null) return;
      const { displacement } = ticket['spec'] as { readonly displacement: { readonly pods: readonly object[] } };
      const pods = displacement.pods.map((pod) => ({ ...pod, checkpoint: '' }));
      const damage = calls % 2 === 0 ? { pods } : { deadline: '2099-01-01T00:00:00.000Z' };
      world.damaged.add(ticket.metadata.name);
      void world.tryTo(() =>
        world.admin.patch(
          RESOURCES.reprieves,
          'default',
          ticket.metadata.name,
          { spec: { displacement: damage } },
          { type: 'merge' },
        ),
      );
    },
  },
  'a policy changes': {
    what: 'to another decision, another delay, another word on failures',
    strike: (world, { pick, calls }) => {
      const preemption = {
        decision: ['Always', 'Adaptive', 'Never'][calls % 3],
        maxDelay: pick < 0.5 ? '2s' : '40s',
        onFailure: pick % 0.2 < 0.1 ? 'Evict' : 'Refuse',
      };
      void world.tryTo(() =>
        world.admin.patch(RESOURCES.reprievePolicies, null, 'batch', { spec: { preemption } }, { type: 'merge' }),
      );
    },
  },
  'policies are deleted': {
    what: 'nobody is protected any more',
    strike: (world) => {
      for (const { metadata } of world.api.list(RESOURCES.reprievePolicies)) {
        void world.tryTo(() => world.admin.delete(RESOURCES.reprievePolicies, null, metadata.name));
      }
    },
  },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULTS;

/** Longer than any plan: all faults are over before. */
const UNTIL_MENDED_MS = 1_000_000;

const RECORDS: ReadonlySet<string> = new Set([RESOURCES.reprieves.kind, RESOURCES.podCheckpoints.kind]);

const REASONS: Readonly<Record<number, string>> = {
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

function whenOf(pick: number): 'before' | 'after' {
  return Math.floor(pick * 1000) % 2 === 0 ? 'before' : 'after';
}
