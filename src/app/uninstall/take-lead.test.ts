import { expect, it } from 'vitest';
import { defaultConfiguration } from '../../config/configuration.ts';
import { LeaseElector } from '../../kube/lease-elector.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { KubeClient } from '../../kube/client.ts';
import type { AppError } from '../../observe/error-codes.ts';
import { ApiServer } from '../../sim/api-server/api-server.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { takeLead, type Lead } from './take-lead.ts';

const SECOND = 1000;
const { leaderElection: settings } = defaultConfiguration();

async function cluster(): Promise<{ clock: VirtualClock; api: ApiServer; client: KubeClient }> {
  const clock = new VirtualClock();
  const api = new ApiServer({ clock, seed: 1 });
  const client = new KubeClient(api);
  await client.create(RESOURCES.namespaces, null, { metadata: { name: 'reprieve-system' } });
  return { clock, api, client };
}

function electorOf(api: ApiServer, clock: VirtualClock): LeaseElector {
  const identity = 'reprieve-1';
  return new LeaseElector({
    transport: api,
    clock,
    namespace: 'reprieve-system',
    settings,
    identity,
    onChange: () => undefined,
  });
}

async function taken(api: ApiServer, clock: VirtualClock): Promise<Lead | AppError> {
  let outcome: Lead | AppError | null = null;
  const options = { transport: api, clock, settings, namespace: 'reprieve-system', identity: 'uninstall' };
  takeLead(options).then(
    (lead) => (outcome = lead),
    (error: AppError) => (outcome = error),
  );
  await clock.runUntil(clock.now() + 60 * SECOND);
  if (outcome === null) throw new Error('no answer within a minute');
  return outcome;
}

const holderOf = async (client: KubeClient): Promise<unknown> =>
  ((await client.get(RESOURCES.leases, 'reprieve-system', 'reprieve'))['spec'] as { holderIdentity?: string })
    .holderIdentity;

it('is refused while a replica leads', async () => {
  const { api, clock, client } = await cluster();
  const replica = electorOf(api, clock);
  replica.start();
  await clock.runUntil(clock.now() + SECOND);
  expect((await taken(api, clock)) as AppError).toMatchObject({
    code: 'StillLed',
    message:
      'reprieve-1 leads (Lease reprieve-system/reprieve) and would undo this; stop every reprieve serve, then run it again',
  });
  expect(await holderOf(client)).toBe('reprieve-1');
});

it('holds the Lease that a dead replica left, so that no other replica leads, and gives it back', async () => {
  const { api, clock, client } = await cluster();
  await client.create(RESOURCES.leases, 'reprieve-system', {
    metadata: { name: 'reprieve' },
    spec: { holderIdentity: 'reprieve-0', leaseDurationSeconds: 15 },
  });
  const lead = (await taken(api, clock)) as Lead;
  const replica = electorOf(api, clock);
  replica.start();
  await clock.runUntil(clock.now() + 60 * SECOND);
  expect([lead.leadership.term(), replica.term()]).toEqual([1, null]);
  void lead.release();
  await clock.runUntil(clock.now() + 5 * SECOND);
  expect([lead.leadership.term(), replica.term()]).toEqual([null, 1]);
});

it('needs no Lease where the namespace is gone', async () => {
  const { api, clock, client } = await cluster();
  await client.delete(RESOURCES.namespaces, null, 'reprieve-system');
  const lead = (await taken(api, clock)) as Lead;
  expect(lead.leadership.term()).toBe(1);
});
