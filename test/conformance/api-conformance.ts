/* oxlint-disable vitest/valid-title, vitest/expect-expect -- titles and expectations come from the rules */
import { afterAll, beforeAll, describe, test } from 'vitest';
import type { KubeTransport } from '../../src/kube/transport.ts';
import { createItem, type Item } from './item.ts';
import { conditionRules } from './rules/conditions.ts';
import { customResourceRules } from './rules/custom-resources.ts';
import { deletionRules } from './rules/deletion.ts';
import { eventRules } from './rules/events.ts';
import { evictionRules } from './rules/eviction.ts';
import { fieldManagerRules } from './rules/field-managers.ts';
import { listRules } from './rules/lists.ts';
import { objectRules } from './rules/objects.ts';
import { patchRules } from './rules/patches.ts';
import { podUpdateRules } from './rules/pod-updates.ts';
import { podRules } from './rules/pods.ts';
import { statusRules } from './rules/status.ts';
import { watchRules } from './rules/watches.ts';

/** An API server under test. */
export interface ConformanceTarget {
  readonly transport: KubeTransport;
  stop(): Promise<void> | void;
  /** Forgets the history of writes. Absent: what needs it is skipped. */
  compact?(): Promise<void> | void;
  /** Moves the clock of the server. Absent: time passes by itself. */
  passTime?(ms: number): Promise<void>;
}

export interface ConformanceOptions {
  readonly name: string;
  start(): Promise<ConformanceTarget>;
  /** Called for each new namespace before it is used; the real server needs its default service account. */
  prepareNamespace?(namespace: string): Promise<void>;
  /** Title of a rule -> why this server need not keep it. */
  readonly skip?: Readonly<Record<string, string>>;
}

/** A rule that Reprieve relies on, tried in a namespace of its own. */
export type Rule = (title: string, run: (item: Item) => Promise<void>) => void;

/**
 * What our code takes for granted of an API server, one test a rule; run by the embedded cluster and by the real
 * kube-apiserver. A difference is a bug of the embedded one. Needs no kubelet, and holds with or without controllers.
 */
export function describeApiConformance(options: ConformanceOptions): void {
  const { skip = {} } = options;
  const unknown = new Set(Object.keys(skip));
  describe(`API conformance: ${options.name}`, { timeout: 60_000 }, () => {
    let target: ConformanceTarget;
    beforeAll(async () => {
      if (unknown.size > 0) throw new Error(`skipped rules that do not exist: ${[...unknown].join('; ')}`);
      target = await options.start();
    }, 300_000);
    afterAll(async () => {
      await target?.stop();
    });

    const rule: Rule = (title, run) => {
      const reason = skip[title];
      unknown.delete(title);
      test(title, async (context) => {
        if (reason !== undefined) context.skip(reason);
        const item = await createItem(target, options, (why) => context.skip(why));
        context.onTestFinished(() => item.close());
        await run(item);
      });
    };
    for (const [topic, rules] of Object.entries(TOPICS)) {
      describe(topic, () => {
        rules(rule);
      });
    }
  });
}

const TOPICS: Readonly<Record<string, (rule: Rule) => void>> = {
  objects: objectRules,
  lists: listRules,
  watches: watchRules,
  patches: patchRules,
  status: statusRules,
  pods: podRules,
  'pod updates': podUpdateRules,
  'field managers': fieldManagerRules,
  conditions: conditionRules,
  deletion: deletionRules,
  eviction: evictionRules,
  events: eventRules,
  'custom resources': customResourceRules,
};
