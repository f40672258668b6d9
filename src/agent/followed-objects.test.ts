import { describe, expect, it } from 'vitest';
import { KubeClient } from '../kube/client.ts';
import type { ReflectorNotice } from '../kube/reflector.ts';
import { RESOURCES } from '../kube/resources.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { policyOf } from '../kube/project/policy.ts';
import { FollowedObjects } from './followed-objects.ts';

describe('FollowedObjects', () => {
  it('leaves out what cannot be read, and follows what comes after it', async () => {
    const clock = new VirtualClock();
    const server = new ApiServer({ clock });
    const client = new KubeClient(server.transport('admin'));
    const notices: ReflectorNotice[] = [];
    const followed = new FollowedObjects({
      transport: server.transport('agent'),
      clock,
      kind: 'policy',
      onNotice: (notice) => notices.push(notice),
    });
    // As whoever hears of an object does: it is projected at once.
    const seen: string[] = [];
    followed.onChange((_, after) => seen.push(after === null ? '' : policyOf(after).name));
    const stop = new AbortController();
    const running = followed.run(stop.signal);
    await clock.advance(0);
    const create = async (name: string, match: object): Promise<void> => {
      await client.create(RESOURCES.reprievePolicies, null, { metadata: { name }, spec: { match } });
      await clock.advance(0);
    };
    await create('odd', { podSelector: { matchExpressions: 'app' } });
    await create('good', {});
    expect(seen).toEqual(['good']);
    expect(followed.list().map(({ metadata }) => metadata.name)).toEqual(['good']);
    expect(notices).toMatchObject([{ kind: 'invalid-object', resource: 'reprievepolicies' }]);
    stop.abort();
    await running;
  });
});
