import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configJson, containerAnnotations, POD, SHELLS, Stage } from './stage.ts';

const ID = 'c'.repeat(64);

/** Calls that are none of ours, each exactly as it reaches the runtime. */
const CALLS: Readonly<Record<string, readonly string[]>> = {
  'no word at all': [],
  '--version': ['--version'],
  '--help': ['--help'],
  features: ['features'],
  'state, global flags in any form': ['--root=/run/x', '--log', '/tmp/l', '--debug', 'state', ID],
  'start of an ordinary container': ['--root', '/run/x', 'start', ID],
  'start of nothing': ['start'],
  'delete --force': ['--root', '/run/x', 'delete', '--force', ID],
  'kill --all': ['kill', '--all', ID, '9'],
  pause: ['pause', ID],
  resume: ['resume', ID],
  'exec with a command that looks like ours': ['exec', '--process', '/p', '--detach', ID, 'create', '--bundle', '/b'],
  'update from standard input': ['update', '--resources', '-', ID],
  checkpoint: ['checkpoint', '--image-path', '/i', '--work-path', '/w', ID],
  restore: ['restore', '--bundle', '/b', ID],
  ps: ['ps', '--format', 'json', ID],
  events: ['events', '--stats', ID],
  list: ['list'],
  run: ['run', '--bundle', '/b', ID],
  spec: ['spec', '--rootless'],
  'spaces, newlines, globs, quotes, substitutions': ['exec', 'a b', 'c\nd\n', '*', '', "'", '"', '$(id)', '`id`', '\\'],
  'an empty first word': ['', 'create', ID],
  'a flag nobody knows': ['--unheard-of', 'create', '--bundle', '/b', ID],
  'a flag of create that nobody knows': ['create', '--unheard-of', '--bundle', '/b', ID],
  'the end of flags': ['--', 'create', ID],
  'create as the value of a flag': ['--root', 'create', 'state', ID],
  'a flag without its value': ['create', ID, '--bundle'],
  'two ids': ['create', '--bundle', '/b', ID, ID],
  'an id that is a path': ['start', '../../etc/passwd'],
  'an id with a line end': ['start', `${ID}\n`],
};

/** What a config.json may be without the container being ours. `text` null: there is none. */
const STRANGE: Readonly<Record<string, string | null>> = {
  'no config.json': null,
  'an empty one': '',
  'no JSON at all': 'ticket\0"reprieve.dev/ticket"',
  'no ticket': configJson({ annotations: { 'io.kubernetes.cri.sandbox-uid': POD } }),
  'the annotations in the environment': configJson({
    annotations: {},
    env: [`X={${JSON.stringify(containerAnnotations()).slice(1)}`, `,"reprieve.dev/ticket":"x"`],
  }),
  'the annotations in the environment, escaped twice': configJson({
    annotations: {},
    env: [JSON.stringify(JSON.stringify(containerAnnotations()))],
  }),
  'keys that only end like ours': configJson({ annotations: prefixed(containerAnnotations(), 'x.') }),
  'a ticket, and nothing that says whose': configJson({ annotations: { 'reprieve.dev/ticket': 't' } }),
  'an identity twice': configJson().replace('"linux":{', `"linux":{"io.kubernetes.cri.sandbox-uid":"${POD}",`),
  'an identity of either engine': configJson({
    annotations: { ...containerAnnotations(), 'io.kubernetes.pod.uid': POD },
  }),
  'two tickets': configJson().replace('"linux":{', '"linux":{"reprieve.dev/ticket":"x",'),
  'a uid that is a path': configJson({ annotations: containerAnnotations('worker', '../../../etc') }),
  'a uid of capitals': configJson({ annotations: containerAnnotations('worker', POD.toUpperCase()) }),
  'an empty uid': configJson({ annotations: containerAnnotations('worker', '') }),
  'a name that is a path': configJson({ annotations: containerAnnotations('../worker') }),
  'a name that is a command': configJson({ annotations: containerAnnotations('$(touch pwned)') }),
  'a name with a line end in it': configJson({ annotations: containerAnnotations('a\nb') }),
  'a name with an escape in it': configJson().replace('"worker"', '"work\\u0065r"'),
  'a name that is a flag': configJson({ annotations: containerAnnotations('-rf') }),
  'a kind nobody knows': configJson()
    .replace('"container-type":"container"', '"x":"y"')
    .replace('"io.kubernetes.cri.container-type":"container"', '"io.kubernetes.cri.container-type":"ephemeral"'),
  'a sandbox id that is a path': configJson({
    annotations: { ...containerAnnotations(), 'io.kubernetes.cri.sandbox-id': '../x' },
  }),
  'a ticket that is no string': configJson().replace('"worker-5x2p1"', '{}'),
};

function prefixed(annotations: Record<string, string>, prefix: string): Record<string, string> {
  return Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`${prefix}${key}`, value]));
}

describe.each(SHELLS)('the wrapper under %s passes on', (...shell) => {
  it.each(Object.keys(CALLS))('%s', async (name) => {
    using stage = new Stage(shell);
    const args = CALLS[name] as readonly string[];
    const ended = await stage.play(args);
    expect(ended).toEqual({ code: 0, stdout: "the runtime's own words\n", stderr: '' });
    expect(stage.calls()).toEqual([args]);
    expect(stage.requests()).toEqual([]);
  });

  it.each(Object.keys(STRANGE))('a create with %s', async (name) => {
    using stage = new Stage(shell);
    const { create } = stage.container(ID, STRANGE[name]);
    expect(await stage.play(create)).toEqual({ code: 0, stdout: "the runtime's own words\n", stderr: '' });
    expect(stage.calls()).toEqual([create]);
    expect(stage.requests()).toEqual([]);
  });

  it('a create whose config.json is a folder, or points nowhere', async () => {
    using stage = new Stage(shell);
    const folder = stage.container('folder', null);
    mkdirSync(join(folder.bundle, 'config.json'));
    const nowhere = stage.container('nowhere', null);
    symlinkSync('/nonexistent', join(nowhere.bundle, 'config.json'));
    for (const { create } of [folder, nowhere]) expect((await stage.play(create)).code).toBe(0);
    expect(stage.calls()).toEqual([folder.create, nowhere.create]);
  });

  it('a create of a pod without a ticket whose environment is a megabyte', async () => {
    using stage = new Stage(shell);
    const annotations = { ...containerAnnotations(), 'reprieve.dev/ticket': '' };
    const { 'reprieve.dev/ticket': _, ...rest } = annotations;
    const env = Array.from({ length: 20_000 }, () => `A=,"reprieve.dev/ticket":"${'x'.repeat(20)}"`);
    const { create } = stage.container(ID, configJson({ annotations: rest, env }));
    await stage.play(create);
    expect(stage.calls()).toEqual([create]);
  });

  it('the exit code and the umask', async () => {
    using stage = new Stage(shell);
    stage.fail('state', 7);
    expect((await stage.play(['state', ID])).code).toBe(7);
    expect(stage.umasks()).toEqual([process.umask()]);
  });

  it('a create of a pod with a ticket where the run folder cannot be made', async () => {
    using stage = new Stage(shell);
    rmSync(stage.run, { recursive: true });
    writeFileSync(stage.run, 'a file');
    const { create } = stage.container(ID);
    expect((await stage.play(create)).code).toBe(0);
    expect(stage.calls()).toEqual([create]);
    expect(stage.umasks()).toEqual([process.umask()]);
  });

  it('reports what the shell says when the runtime is gone', async () => {
    using stage = new Stage(shell);
    chmodSync(stage.runtime, 0o644);
    expect((await stage.play(['state', ID])).code).toBe(126);
  });
});
