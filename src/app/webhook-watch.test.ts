import { describe, expect, it } from 'vitest';
import { selectorOf } from '../domain/selector.ts';
import type { WebhookReach } from '../domain/webhook-reach.ts';
import { DEPLOYED_SCOPE } from '../domain/webhook-scope.ts';
import { handleAdmission } from '../http/admission.ts';
import { KubeClient } from '../kube/client.ts';
import { RESOURCES } from '../kube/resources.ts';
import { readWebhookScope } from '../kube/webhook-scope.ts';
import type { KubeObject } from '../kube/transport.ts';
import type { AdmissionReview } from '../sim/api-server/admission.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { WebhookWatch } from './webhook-watch.ts';

const SECOND = 1_000;

function setUp() {
  const clock = new VirtualClock();
  const server = new ApiServer({ clock });
  const told: string[] = [];
  const reminded: string[] = [];
  const canaries: KubeObject[] = [];
  const admitPod = async () => ({ gate: false, reason: 'NoTicket' }) as const;
  /** What becomes of reviews of a namespace. */
  const webhook = { isAway: (_namespace: string) => false };
  server.hooks.admitPod = async (review: AdmissionReview) => {
    const { object, namespace } = review.request as { object: KubeObject; namespace: string };
    canaries.push(object);
    if (webhook.isAway(namespace)) throw new Error('connection refused');
    return JSON.parse((await handleAdmission({ admitPod }, JSON.stringify(review))).body) as AdmissionReview;
  };
  const watch = new WebhookWatch({
    client: new KubeClient(server),
    clock,
    instance: 'r-1',
    readScope: () => readWebhookScope(new KubeClient(server), 'reprieve'),
    namespaceLabels: () => ({ team: 'a' }),
    onChange: ({ reason, missedIn }: WebhookReach) => told.push([reason, ...missedIn].join(' ')),
    onReminder: ({ reason }) => reminded.push(reason),
  });
  const begin = async (): Promise<void> => {
    const began = watch.begin();
    await clock.advance(3 * SECOND);
    await began;
  };
  return { clock, server, watch, webhook, told, reminded, canaries, begin };
}

describe('the watch of the webhook', () => {
  it('knows after the first canary that the webhook is called; nothing is stored', async () => {
    const { watch, begin, server, told, canaries } = setUp();
    expect(watch.reach.isCalled).toBe(false);
    await begin();
    expect(told).toEqual(['WebhookCalled']);
    expect(server.list(RESOURCES.pods)).toEqual([]);
    // What deploy/webhook.yaml asks for, and what selectors of others may ask for.
    expect(canaries[0]?.metadata).toMatchObject({ labels: { team: 'a' }, ownerReferences: [{ controller: true }] });
  });

  it('knows after the first canary that nobody is called, says so each minute, and sees at once when that is over', async () => {
    const { watch, begin, server, told, reminded, clock } = setUp();
    const { admitPod } = server.hooks;
    delete server.hooks.admitPod;
    await begin();
    expect(told).toEqual(['WebhookNotCalled']);
    await clock.advance(125 * SECOND);
    expect(reminded).toEqual(['WebhookNotCalled', 'WebhookNotCalled']);
    if (admitPod) server.hooks.admitPod = admitPod;
    await clock.advance(6 * SECOND);
    expect(told).toEqual(['WebhookNotCalled', 'WebhookCalled']);
    expect(watch.reach.isCalled).toBe(true);
  });

  it('lets one miss pass, and knows within a minute of the second', async () => {
    const { begin, webhook, told, clock } = setUp();
    await begin();
    let misses = 1;
    webhook.isAway = () => misses-- > 0;
    await clock.advance(120 * SECOND);
    expect(told).toEqual(['WebhookCalled']);
    webhook.isAway = () => true;
    await clock.advance(40 * SECOND);
    expect(told).toEqual(['WebhookCalled', 'WebhookNotCalled']);
  });

  it('knows nothing where the canary is refused, and goes by the last answer for 90 seconds', async () => {
    const { begin, server, told, clock, watch } = setUp();
    await begin();
    const body = { kind: 'Status', reason: 'Forbidden', message: 'quota' };
    server.hooks.intercept = async () => ({ status: 403, headers: {}, body });
    await clock.advance(80 * SECOND);
    expect(told).toEqual(['WebhookCalled']);
    await clock.advance(20 * SECOND);
    expect(told).toEqual(['WebhookCalled', 'NotYetKnown']);
    expect(watch.reach.message).toContain('quota');
  });

  it('does not wait for an answer that never comes', async () => {
    const { begin, server, told } = setUp();
    server.hooks.intercept = async () => new Promise(() => undefined);
    await begin();
    expect(told).toEqual(['NotYetKnown']);
  });

  it('puts a namespace aside until a canary there is reviewed', async () => {
    const { begin, watch, webhook, told, clock } = setUp();
    await begin();
    webhook.isAway = (namespace) => namespace === 'team';
    watch.missed('team');
    await clock.advance(60 * SECOND);
    expect(told).toEqual(['WebhookCalled', 'WebhookCalled team']);
    webhook.isAway = () => false;
    await clock.advance(6 * SECOND);
    expect(told.at(-1)).toBe('WebhookCalled');
  });

  it('goes by the selectors of the webhook configuration, and by those in deploy/ where there is none', async () => {
    const { begin, watch, server, clock } = setUp();
    await begin();
    expect(watch.reach.scope).toBe(DEPLOYED_SCOPE);
    const namespaceSelector = { matchLabels: { team: 'a' } };
    await new KubeClient(server).create(RESOURCES.mutatingWebhooks, null, {
      metadata: { name: 'reprieve' },
      webhooks: [{ name: 'pods.reprieve.dev', namespaceSelector }],
    });
    await clock.advance(31 * SECOND);
    expect(watch.reach.scope.namespaceSelector).toEqual(selectorOf(namespaceSelector));
  });

  it('ends with the term', async () => {
    const { begin, watch, canaries, clock } = setUp();
    await begin();
    watch.end();
    const before = canaries.length;
    await clock.advance(300 * SECOND);
    expect(canaries).toHaveLength(before);
  });
});
