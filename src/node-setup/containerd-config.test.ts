import { describe, expect, it } from 'vitest';
import {
  dropIn,
  handlerTables,
  importsDropIn,
  readContainerdConfig,
  withBlock,
  withImport,
  withoutBlock,
  withoutImport,
} from './containerd-config.ts';

const PATH = '/etc/containerd/config.toml';
const V2 = `version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = true
  BinaryName = ""
`;

describe('a configuration of containerd', () => {
  it('says what its handlers are, in either version', () => {
    expect(readContainerdConfig(V2, PATH)).toEqual({
      version: 2,
      imports: [],
      handlers: { runc: { binaryName: null, systemdCgroup: true, podAnnotations: [] } },
    });
    for (const version of [2, 3, 4]) {
      expect(readContainerdConfig(dropIn(version, true), PATH)).toEqual({
        version,
        imports: [],
        handlers: {
          reprieve: {
            binaryName: '/usr/local/bin/reprieve-runc',
            systemdCgroup: true,
            podAnnotations: ['reprieve.dev/*'],
          },
        },
      });
    }
  });

  it.each(['[', 'a = ', 'version = 2\nversion = 3'])('that is no TOML is refused: "%s"', (text) => {
    expect(() => readContainerdConfig(text, PATH)).toThrow(`cannot read the configuration of containerd, ${PATH}: `);
  });

  it.each([
    ['/etc/containerd/conf.d/*.toml', true],
    ['/etc/containerd/conf.d/reprieve.toml', true],
    ['conf.d/*.toml', true],
    ['/etc/containerd/*/*.toml', true],
    ['/etc/containerd/*.toml', false],
    ['/etc/containerd/conf.d/nvidia.toml', false],
    ['/etc/containerd/conf.d/reprieve-toml', false],
  ])('imports our file with %s: %s', (pattern, does) => {
    expect(importsDropIn({ version: 3, imports: [pattern], handlers: {} })).toBe(does);
  });

  it.each<[string, string]>([
    ['none', 'version = 3\n[grpc]\naddress = "/x"\n'],
    ['an empty list', 'version = 3\nimports = []\n[grpc]\n'],
    ['an empty list on two lines', 'version = 3\nimports = [\n]\n'],
    ['others', 'version = 3\nimports = ["/a/*.toml", "/b.toml"] # why\n'],
    ['others, one a line', 'version = 3\nimports = [\n  "/a.toml",\n  "/b.toml",\n]\n'],
  ])('gets the import where it has %s, once', (_, text) => {
    const before = readContainerdConfig(text, PATH);
    const once = withImport(text, PATH);
    const after = readContainerdConfig(once, PATH);
    expect(importsDropIn(after)).toBe(true);
    expect(after.imports.toSorted()).toEqual([...before.imports, '/etc/containerd/conf.d/*.toml'].toSorted());
    expect(withImport(once, PATH)).toBe(once);
    expect(readContainerdConfig(withoutImport(once), PATH)).toEqual(before);
  });

  it('gets no second import, and only by hand what we cannot edit', () => {
    const has = 'version = 3\nimports = ["/etc/containerd/conf.d/*.toml"]\n';
    expect(withImport(has, PATH)).toBe(has);
    expect(() => withImport('"imports" = ["/a"]\nversion = 3\n', PATH)).toThrow(/imports/);
  });

  it.each(['', V2, V2.trimEnd()])('takes the handler as a block, and gives it back', (text) => {
    const tables = handlerTables(2, true);
    const main = text === '' ? 'version = 2\n' : text;
    const once = withBlock(main, PATH, tables);
    expect(readContainerdConfig(once, PATH).handlers['reprieve']?.systemdCgroup).toBe(true);
    expect(withBlock(once, PATH, tables)).toBe(once);
    expect(withBlock(once, PATH, handlerTables(2, false))).toBe(withBlock(main, PATH, handlerTables(2, false)));
    expect(withoutBlock(once).trimEnd()).toBe(main.trimEnd());
  });

  it('keeps a handler of that name that somebody else wrote', () => {
    const theirs = `version = 2\n${handlerTables(2, false)}`;
    expect(withBlock(theirs, PATH, handlerTables(2, true))).toBe(theirs);
  });
});
