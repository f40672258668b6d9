import { randomUUID } from 'node:crypto';
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PEER_ANNOTATION, RESTORED_CONDITION, RUNTIME_CLASS, TICKET_ANNOTATION } from '../../src/domain/labels.ts';
import { makeArchive } from '../../src/agent/state/make-archive.ts';
import { decodeManifest, encodeManifest, listFiles, manifestDigest } from '../../src/agent/state/manifest.ts';
import type { KubeObject } from '../../src/kube/transport.ts';
import { Pki } from '../cluster/control-plane/pki.ts';
import { condition, field } from '../cluster/story/history.ts';
import { conditionIn, eventsAbout, phaseOf, ticketIn, victimUidOf } from '../cluster/story/seen.ts';
import { policy } from '../cluster/story/workloads.ts';
import { NodeBed } from './bed/bed.ts';
import { clear, restoredFrom, victimOf, type Victim } from './bed/displace.ts';
import { hog, hogPast } from './bed/hog.ts';
import { IMAGES } from './bed/images.ts';
import { preemptor } from './bed/keeper.ts';

/**
 * Who is refused what. All victims are displaced at once and wait for room, their states on the disk of node1. More tricks of
 * archives are in src/agent/state/archive.test.ts. Rights that differ cannot be claimed with: see src/agent/restore/check.test.ts.
 */
const PAGES = 'containers/main/images/pages-1.img';
const ROOTFS = 'containers/main/rootfs.tar';

interface Case {
  /** `near` ones come back to the node that holds their state, `far` ones to the other, which fetches it. */
  readonly name: `${'near' | 'far'}-${string}`;
  readonly tamper: (folder: string) => Promise<void>;
  /** Of the condition Restored of the new pod. */
  readonly reason: string;
  readonly message: string;
}

async function changeByte(path: string): Promise<void> {
  const bytes = await readFile(path);
  const at = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  await writeFile(path, bytes);
}

/** Another file, and a manifest that agrees with it. */
async function forge(folder: string): Promise<void> {
  await changeByte(join(folder, ROOTFS));
  await vouchFor(folder);
}

/** A file by way of a link that leads out of the container. The manifest vouches for it, and the PodCheckpoint; the ticket does not. */
async function leadOut(folder: string): Promise<void> {
  const members = [
    { name: 'out', type: 'symlink', target: OUTSIDE },
    { name: 'out/planted', content: 'here' },
  ] as const;
  await writeFile(join(folder, ROOTFS), makeArchive(members));
  const status = { manifestDigest: await vouchFor(folder) };
  const [, name = ''] = basename(folder).split('_');
  await bed.cluster.kubectl(...STATUS_OF, 'podcheckpoint', name, '--patch', JSON.stringify({ status }));
}

/** Writes a manifest that agrees with the files; gives its digest. */
async function vouchFor(folder: string): Promise<string> {
  const path = join(folder, 'manifest.json');
  const manifest = decodeManifest(await readFile(path, 'utf8'));
  if (manifest === null) throw new Error(`no manifest in ${folder}`);
  const encoded = encodeManifest({ ...manifest, files: await listFiles(folder) });
  await writeFile(path, encoded);
  return manifestDigest(encoded);
}

const OUTSIDE = '/var/lib';
const STATUS_OF = ['patch', '--subresource=status', '--type=merge'];
const mismatch = { reason: 'DigestMismatch' } as const;
const CASES: readonly Case[] = [
  { name: 'near-changed', tamper: (at) => changeByte(join(at, PAGES)), ...mismatch, message: `${PAGES} was changed` },
  {
    name: 'near-truncated',
    tamper: (at) => truncate(join(at, ROOTFS), 512),
    ...mismatch,
    message: `${ROOTFS} has 512`,
  },
  { name: 'near-missing', tamper: (at) => rm(join(at, ROOTFS)), ...mismatch, message: `${ROOTFS} is missing` },
  {
    name: 'near-extra',
    tamper: (at) => writeFile(join(at, 'volumes/extra.tar'), ''),
    ...mismatch,
    message: 'volumes/extra.tar is not in the manifest',
  },
  { name: 'near-forged', tamper: forge, ...mismatch, message: 'digest is not that in the ticket' },
  { name: 'near-leading-out', tamper: leadOut, ...mismatch, message: 'digest is not that in the ticket' },
  { name: 'far-changed', tamper: (at) => changeByte(join(at, PAGES)), ...mismatch, message: `${PAGES} was changed` },
  { name: 'far-missing', tamper: (at) => rm(join(at, ROOTFS)), ...mismatch, message: `${ROOTFS} is missing` },
  { name: 'far-forged', tamper: forge, ...mismatch, message: 'not the one that was verified' },
];
/** node2 has another image under its tag. */
const OTHER_IMAGE = 'far-image';
const UNTOUCHED = 'far-untouched';
/** Where a copy of that one lies. */
const STOLEN = 'default_stolen_0';
const MOVING_TAG = 'images.reprieve.test/moving:1';
const CTR = ['ctr', '--namespace', 'k8s.io'];

let bed: NodeBed;
const victims = new Map<string, Victim>();
const folders = new Map<string, string>();

beforeAll(async () => {
  bed = await NodeBed.start({ agents: {} });
  await bed.cluster.applyObjects(policy('batch', 'batch'));
  for (const [at, image] of [IMAGES.testTools, IMAGES.otherTools].entries()) {
    await bed.nodes[at]?.run(...CTR, 'images', 'tag', image, MOVING_TAG);
  }
  await bed.cluster.kubectl('cordon', 'node2');
  const names = [...CASES.map(({ name }) => name), OTHER_IMAGE, UNTOUCHED];
  const pods = names.map((name) =>
    hog(name, {
      mebibytes: 4,
      cpu: '165m',
      ...(name.startsWith('near') ? { node: 'node1' } : { prefers: 'node2' }),
      ...(name === OTHER_IMAGE && { image: MOVING_TAG }),
    }),
  );
  await bed.cluster.applyObjects(...pods);
  for (const name of names) {
    const victim = await victimOf(bed, name);
    await hogPast(victim.ip, 5);
    await bed.cluster.kubectl('exec', name, '--', 'touch', '/mark');
    victims.set(name, victim);
  }
  await bed.cluster.applyObjects(preemptor('serving', 'node1', '1900m'));
  for (const name of names) {
    const victim = victimCalled(name);
    await ticketIn(bed, 'Waiting', victim.uid);
    const { object } = await bed.history.until(
      'PodCheckpoint',
      `${name} saved`,
      (checkpoint) => victimUidOf(checkpoint) === victim.uid && condition(checkpoint, 'Ready') === 'True',
    );
    const reference = String(field(object, 'status', 'location', 'reference'));
    folders.set(name, `/var/lib/reprieve/checkpoints/${reference}`);
  }
}, 300_000);
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});

function victimCalled(name: string): Victim {
  const victim = victims.get(name);
  if (victim === undefined) throw new Error(`no victim ${name}`);
  return victim;
}

function folderOf(name: string): string {
  return bed.node('node1').path(folders.get(name) ?? '');
}

describe('the agent that holds a state', () => {
  let state: string;
  let address: URL;

  /** Status and body. Who answers is not looked at: that is for those who fetch. */
  async function ask(path: string, client: { readonly cert: string; readonly key: string } | null): Promise<object> {
    return new Promise((resolve, reject) => {
      request({
        host: address.hostname,
        port: address.port,
        path,
        rejectUnauthorized: false,
        ...client,
        agent: false,
      })
        .on('error', reject)
        .on('response', (response) => {
          const parts: Buffer[] = [];
          response
            .on('data', (part: Buffer) => parts.push(part))
            .on('end', () => resolve({ status: response.statusCode, body: String(Buffer.concat(parts)) }));
        })
        .end();
    });
  }

  beforeAll(async () => {
    const reference = (folders.get(UNTOUCHED) as string).split('/').at(-1) as string;
    state = `/v1/states/${reference}`;
    const node = JSON.parse(await bed.cluster.kubectl('get', 'node', 'node1', '-o', 'json')) as {
      readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
    };
    address = new URL(`https://${node.metadata.annotations[PEER_ANNOTATION]}`);
  });

  async function askForAll(client: { readonly cert: string; readonly key: string } | null): Promise<readonly object[]> {
    const { object: ticket } = await ticketIn(bed, 'Waiting', victimCalled(UNTOUCHED).uid);
    const files = ['manifest.json', `files/${PAGES}`, 'files/none'];
    return Promise.all(files.map((name) => ask(`${state}/${name}?ticket=${ticket.metadata.name}`, client)));
  }

  it('gives nothing to whoever has no certificate of the agents', async () => {
    const strangers = await Pki.create(join(bed.cluster.pki.dir, 'strangers'));
    const stranger = await strangers.certificate('agent', { commonName: 'node2' });
    const cluster = await bed.cluster.pki.certificate('neighbour', { commonName: 'node2' });
    for (const files of [null, stranger, cluster]) {
      const client = files && {
        cert: await readFile(files.certPath, 'utf8'),
        key: await readFile(files.keyPath, 'utf8'),
      };
      for (const said of await askForAll(client)) expect(said).toEqual({ status: 401, body: '' });
    }
  });

  it('gives nothing to a node on which no pod continues the state, whose certificate somebody stole', async () => {
    const path = bed.node('node2').path('/var/lib/reprieve/peer/identity.json');
    const stolen = JSON.parse(await readFile(path, 'utf8')) as { readonly cert: string; readonly key: string };
    for (const said of await askForAll(stolen)) expect(said).toEqual({ status: 403, body: '' });
  });
});

describe('a pod that was given the ticket of another by hand', () => {
  it('starts cold, says why, and takes nothing from whom it belongs to', async () => {
    const { object: ticket } = await ticketIn(bed, 'Waiting', victimCalled(UNTOUCHED).uid);
    const thief = hog('thief', { mebibytes: 4, cpu: '10m', node: 'node1', runtimeClassName: RUNTIME_CLASS }) as {
      readonly metadata: object;
    };
    const annotations = { [TICKET_ANNOTATION]: ticket.metadata.name };
    await bed.cluster.applyObjects({ ...thief, metadata: { ...thief.metadata, annotations } });
    const { ip } = await victimOf(bed, 'thief');
    await hogPast(ip, 0);
    const { object } = await bed.history.until(
      'Pod',
      'the refusal',
      (pod) => pod.metadata.name === 'thief' && condition(pod, RESTORED_CONDITION) === 'False',
    );
    expect(conditionIn(object, RESTORED_CONDITION)).toMatchObject({ reason: 'OwnerDiffers' });
    expect(await marked('thief')).toBe(false);
    expect(phaseOf(bed.history.last('Reprieve', ticket.metadata.name) as typeof ticket)).toBe('Waiting');
    await bed.cluster.kubectl('delete', 'pod', 'thief', '--force', '--grace-period=0');
  });
});

describe('a state that is not the one that was saved', () => {
  beforeAll(async () => {
    await cp(folderOf(UNTOUCHED), join(folderOf(UNTOUCHED), '..', STOLEN), { recursive: true });
    for (const { name, tamper } of CASES) await tamper(folderOf(name));
    await bed.cluster.kubectl('uncordon', 'node2');
    // Only node2 has room as long as the preemptor is there.
    for (const [name, { uid }] of victims) if (name.startsWith('far')) await placed(uid);
    await bed.cluster.kubectl('delete', 'pod', 'serving', '--force', '--grace-period=0');
  });
  afterAll(() => clear(bed));

  it.each(CASES)('$name: $reason', async ({ name, reason, message }) => {
    const { uid, node } = victimCalled(name);
    const { object: ticket } = await ticketIn(bed, 'ColdStarted', uid);
    expect(conditionIn(ticket, 'Restored')).toMatchObject({ status: 'False', reason });
    const claim = field(ticket, 'status', 'claim') as { readonly uid: string };
    const { object: pod } = await bed.history.until(
      'Pod',
      `${name} again`,
      (candidate) => candidate.metadata.uid === claim.uid && condition(candidate, 'Ready') === 'True',
    );
    const said = conditionIn(pod, RESTORED_CONDITION);
    expect(said).toMatchObject({ status: 'False', reason });
    expect(said?.message).toContain(message);
    expect(await eventsAbout(bed, name)).toContain('ColdStarted');
    expect(field(pod, 'spec', 'nodeName') === node).toBe(name.startsWith('near'));
    await hogPast(bed.pod(name).ip, 0);
    expect(await marked(name)).toBe(false);
    expect(bed.pod(name).restarts).toBe(0);
  });

  it('goes on where the image is the one it was saved with', async () => {
    const victim = victimCalled(OTHER_IMAGE);
    const again = await restoredFrom(bed, victim);
    expect(again.node).toBe('node1');
    const { object: ticket } = await ticketIn(bed, 'Restored', victim.uid);
    expect(field(ticket, 'status', 'failedNodes')).toMatchObject([{ node: 'node2', reason: 'ImagesDiffer' }]);
    expect(await marked(again.name)).toBe(true);
  });

  it('plants nothing outside of its container', async () => {
    expect(await readdir(bed.node('node1').path(OUTSIDE))).not.toContain('planted');
  });

  it('leaves the others as they were', async () => {
    const again = await restoredFrom(bed, victimCalled(UNTOUCHED));
    await hogPast(again.ip, 5);
    expect(await marked(again.name)).toBe(true);
  });

  it('is refused in another namespace, to which somebody forged the records', async () => {
    const { uid: saved } = victimCalled(UNTOUCHED);
    const isOf = (object: KubeObject): boolean => victimUidOf(object) === saved;
    const { object: checkpoint } = await bed.history.until(
      'PodCheckpoint',
      'the saved one',
      (object) => isOf(object) && condition(object, 'Ready') === 'True',
    );
    const { object: ticket } = await ticketIn(bed, 'Waiting', saved);
    const record = JSON.parse(JSON.stringify(ticket['spec'])) as ForgedSpec;
    const pod = { ...record.pod, name: 'stolen', uid: randomUUID() };
    const victim = record.displacement.pods.find(({ uid }) => uid === saved);
    const pods = [{ ...victim, name: pod.name, uid: pod.uid, namespace: 'elsewhere', checkpoint: 'stolen' }];
    const spec = { ...record, pod, checkpoint: 'stolen', displacement: { ...record.displacement, id: 'forged', pods } };
    const location = { node: 'node1', reference: STOLEN };
    const of = { name: 'stolen', namespace: 'elsewhere' };

    await bed.cluster.kubectl('create', 'namespace', 'elsewhere');
    await bed.cluster.kubectl('wait', '--for=create', 'serviceaccount/default', '-n', 'elsewhere', '--timeout=30s');
    // With them nobody could forge these: test/cluster/admission-policies.test.ts.
    await bed.cluster.kubectl('delete', 'validatingadmissionpolicybindings', '--all');
    await forgeRecord('PodCheckpoint', of, {
      spec: { pod: { name: pod.name, uid: pod.uid }, node: 'nowhere', reason: 'Manual', hold: 'None' },
      status: { ...(checkpoint['status'] as object), location },
    });
    await forgeRecord('Reprieve', of, { spec, status: ticket['status'] as object });

    const { object: refused } = await ticketIn(bed, 'ColdStarted', pod.uid);
    const said = conditionIn(refused, 'Restored');
    expect(said).toMatchObject({ status: 'False', reason: 'CheckpointMissing' });
    expect(said?.message).toContain('PodCheckpoint stolen');
    await bed.cluster.kubectl('wait', '--for=condition=Ready', 'pod/stolen', '-n', 'elsewhere', '--timeout=60s');
    expect((await bed.cluster.kubectl('exec', '-n', 'elsewhere', 'stolen', '--', 'ls', '/')).split('\n')).not.toContain(
      'mark',
    );
    await bed.cluster.kubectl('delete', 'namespace', 'elsewhere', '--wait=false');
    await bed.cluster.kubectl('delete', 'pod', 'stolen', '-n', 'elsewhere', '--force', '--grace-period=0');
    await bed.cluster.applyFiles(join(import.meta.dirname, '../../deploy/admission-policies.yaml'));
  });

  it('leaves nothing behind that was fetched and refused', async () => {
    await clear(bed);
    await expect.poll(() => readdir(bed.node('node2').path('/var/lib/reprieve/fetched'))).toEqual([]);
  });
});

interface ForgedSpec {
  readonly pod: object;
  readonly displacement: { readonly pods: readonly { readonly uid: string }[] };
}

/** A record of ours, with the status that its writer wants it to have. */
async function forgeRecord(
  kind: 'PodCheckpoint' | 'Reprieve',
  metadata: { readonly name: string; readonly namespace: string },
  { spec, status }: { readonly spec: object; readonly status: object },
): Promise<void> {
  const make = (): Promise<string> =>
    bed.cluster.applyObjects({ apiVersion: 'reprieve.dev/v1alpha1', kind, metadata, spec }).then(() => 'made', String);
  await expect.poll(make, { timeout: 30_000, interval: 500 }).toBe('made');
  const { name, namespace } = metadata;
  const patch = JSON.stringify({ status });
  await bed.cluster.kubectl(...STATUS_OF, `${kind.toLowerCase()}s`, name, '-n', namespace, '--patch', patch);
}

/** Waits until the pod that continues a victim has its node. */
async function placed(victimUid: string): Promise<void> {
  const phases = new Set<unknown>(['Restoring', 'Restored', 'ColdStarted']);
  await bed.history.until(
    'Reprieve',
    `a node for who continues ${victimUid}`,
    (ticket) => victimUidOf(ticket) === victimUid && phases.has(phaseOf(ticket)),
  );
}

/** Whether it has the file that its predecessor was given. */
async function marked(pod: string): Promise<boolean> {
  return (await bed.cluster.kubectl('exec', pod, '--', 'ls', '/')).split('\n').includes('mark');
}
