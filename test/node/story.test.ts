import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FROZEN_CONDITION } from '../../src/domain/labels.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { condition, field } from '../cluster/story/history.ts';
import { policy } from '../cluster/story/workloads.ts';
import { askHog, hogPast } from './bed/hog.ts';
import { NodeBed } from './bed/bed.ts';
import { keeper, preemptor, type Owner } from './bed/keeper.ts';
import { displace } from './bed/displace.ts';

/** The story of Reprieve on real nodes: frozen, saved, evicted, restored on another node, and nothing of it lost. */
let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {} });
  await bed.cluster.applyObjects(policy('batch', 'batch'));
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});
