import { expect, test } from 'vitest';
import { ROLE_LABEL } from '../domain/labels.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { KubeClient } from './client.ts';
import { takeLeaderLabel } from './leader-label.ts';
import { RESOURCES } from './resources.ts';

test('exactly the leader carries the label, whoever had it before', async () => {
  const client = new KubeClient(new ApiServer({ clock: new VirtualClock() }).transport());
  const containers = [{ name: 'main', image: 'app:1' }];
  for (const name of ['r-1', 'r-2', 'r-3']) {
    const labels = { app: 'reprieve', ...(name !== 'r-2' && { [ROLE_LABEL]: 'leader' }) };
    await client.create(RESOURCES.pods, 'default', { metadata: { name, labels }, spec: { containers } });
  }
  await takeLeaderLabel(client, 'default', 'r-2');
  const pods = await client.list(RESOURCES.pods, { namespace: 'default' });
  expect(Object.fromEntries(pods.map(({ metadata }) => [metadata.name, metadata.labels]))).toEqual({
    'r-1': { app: 'reprieve' },
    'r-2': { app: 'reprieve', [ROLE_LABEL]: 'leader' },
    'r-3': { app: 'reprieve' },
  });
  // Outside of a cluster there may be no such pod: nothing to label is no failure.
  await takeLeaderLabel(client, 'default', 'gone');
});
