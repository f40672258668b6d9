import { describe, expect, it } from 'vitest';
import { makeCheckpoint, makeNode, makePod, makeResources, makeTicket } from '../../test/support/builders.ts';
import { Measured } from '../../test/support/measured.ts';
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { PodUid } from '../domain/ids.ts';
import type { Pod } from '../domain/pod.ts';
import type { Ticket } from '../domain/ticket.ts';

/** At 100 s: a victim on half of n1 since 20 s. */
function victim(overrides: Parameters<typeof makePod>[0] = {}): Pod {
  return makePod({ nodeName: 'n1', startMs: 20_000, requests: makeResources({ cpuMilli: 2000 }), ...overrides });
}

const evicted = { disruptionTarget: true, deletionMs: 130_000 } as const;

function ticketOf(overrides: Partial<Ticket> = {}): Ticket {
  return makeTicket({ requests: makeResources({ cpuMilli: 2000 }), ...overrides });
}

/** Taken at 80 s. */
function checkpointOf(overrides: Partial<Checkpoint> = {}): Checkpoint {
  return { ...makeCheckpoint({ name: makeTicket().checkpoint, ready: true, takenMs: 80_000 }), ...overrides };
}

function setUp(): Measured {
  return new Measured().put('node', makeNode()).put('pod', victim());
}

async function figures(measured: Measured): Promise<{ saved: readonly string[]; lost: readonly string[] }> {
  return {
    saved: await measured.read('reprieve_saved_node_seconds_total'),
    lost: await measured.read('reprieve_lost_node_seconds_total'),
  };
}

const STORIES: Readonly<
  Record<string, { readonly tell: (measured: Measured) => unknown; readonly saved: number; readonly lost: string[] }>
> = {
  'a victim that was never protected loses all since its start': {
    tell: (m) => m.put('pod', victim(evicted)),
    saved: 0,
    lost: ['{cause="Unsaved"} 40'],
  },
  'it is counted once, however often its deletion is seen': {
    tell: (m) => m.put('pod', victim(evicted), victim({ ...evicted, phase: 'Failed' })).remove('pod', victim()),
    saved: 0,
    lost: ['{cause="Unsaved"} 40'],
  },
  'a deletion that is no preemption is nobody’s loss': {
    tell: (m) => m.put('pod', victim({ deletionMs: 130_000 })),
    saved: 0,
    lost: [],
  },
  'a saved victim loses nothing but the time it stood still': {
    tell: (m) => {
      m.put('ticket', ticketOf({ phase: 'Saving' })).put('checkpoint', checkpointOf({ frozen: true }));
      m.put('pod', victim({ ...evicted, frozenBy: 'c' })).remove('pod', victim());
    },
    saved: 30,
    lost: ['{cause="Frozen"} 10'],
  },
  'a victim whose older checkpoint is used loses what it did since': {
    tell: (m) => {
      m.put('ticket', ticketOf({ phase: 'Saving' })).put('checkpoint', checkpointOf({ keepFrozen: false }));
      m.put('pod', victim(evicted));
    },
    saved: 30,
    lost: ['{cause="Stale"} 10'],
  },
  'a checkpoint that the pod ran on after saves nothing': {
    tell: (m) => {
      m.put('ticket', ticketOf({ phase: 'Saving' })).put('checkpoint', checkpointOf({ thawed: true }));
      m.put('pod', victim(evicted));
    },
    saved: 0,
    lost: ['{cause="Unsaved"} 40'],
  },
  'a checkpoint that waits does not end the freeze by another one': {
    tell: (m) => {
      const waiting = checkpointOf({
        name: 'manual',
        uid: 'uid-manual',
        ready: false,
        keepFrozen: false,
        takenMs: null,
      });
      m.put('checkpoint', checkpointOf({ frozen: true }), waiting, checkpointOf({ thawed: true }), waiting);
    },
    saved: 0,
    lost: ['{cause="Frozen"} 10'],
  },
  'a dump that is begun anew counts twice': {
    tell: (m) => {
      const saving = checkpointOf({ ready: false, frozen: true });
      m.put(
        'checkpoint',
        saving,
        checkpointOf({ ready: false, frozen: false }),
        saving,
        checkpointOf({ thawed: true }),
      );
    },
    saved: 0,
    lost: ['{cause="Frozen"} 20'],
  },
  'a pod that was frozen in vain lost that time': {
    tell: (m) => m.put('checkpoint', checkpointOf({ frozen: true }), checkpointOf({ thawed: true })),
    saved: 0,
    lost: ['{cause="Frozen"} 10'],
  },
  'room is held while a pod is restored': {
    tell: (m) => {
      const claim = { name: 'again', uid: 'uid-again' as PodUid };
      m.put('pod', makePod({ name: 'again', nodeName: 'n1' }));
      m.put('ticket', ticketOf({ phase: 'Restoring', phaseMs: 90_000, claim }));
      m.put('ticket', ticketOf({ phase: 'Restored', phaseMs: 96_000, claim }));
    },
    saved: 0,
    lost: ['{cause="Restoring"} 3'],
  },
  'what was saved and not continued is lost in the end': {
    tell: (m) => {
      m.put('ticket', ticketOf({ phase: 'Saving' })).put(
        'checkpoint',
        checkpointOf({ keepFrozen: false, takenMs: 100_000 }),
      );
      m.put('pod', victim(evicted)).put('ticket', ticketOf({ phase: 'Waiting' }));
      m.put('ticket', ticketOf({ phase: 'Abandoned' }), ticketOf({ phase: 'Abandoned', attempts: 1 }));
    },
    saved: 40,
    lost: ['{cause="NotContinued"} 40'],
  },
  'what was continued, and then evicted unsaved, is lost with the work since': {
    tell: (m) => {
      const claim = { name: 'again', uid: 'uid-again' as PodUid };
      m.put('ticket', ticketOf({ phase: 'Saving' })).put('checkpoint', checkpointOf({ frozen: true }));
      m.put('pod', victim({ ...evicted, frozenBy: 'c' })).put('ticket', ticketOf({ phase: 'Restored', claim }));
      m.put('pod', victim({ ...evicted, name: 'again', startMs: 96_000 }));
    },
    saved: 30,
    lost: ['{cause="Unsaved"} 32'],
  },
  'what was continued is not': {
    tell: (m) => {
      m.put('ticket', ticketOf({ phase: 'Saving' })).put(
        'checkpoint',
        checkpointOf({ keepFrozen: false, takenMs: 100_000 }),
      );
      m.put('pod', victim(evicted)).put('ticket', ticketOf({ phase: 'Restored' }));
    },
    saved: 40,
    lost: [],
  },
};

describe('measureWork', () => {
  it.each(Object.entries(STORIES))('%s', async (_, { tell, saved, lost }) => {
    const measured = setUp();
    tell(measured);
    expect(await figures(measured)).toEqual({ saved: [String(saved)], lost });
  });

  it.each(Object.entries(STORIES))('a replica that may not act counts nothing: %s', async (_, { tell }) => {
    const measured = setUp();
    measured.engine.mayAct = false;
    tell(measured);
    expect(await figures(measured)).toEqual({ saved: ['0'], lost: [] });
  });
});
