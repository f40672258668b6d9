#!/usr/bin/env node
// Runs a script of this repository with the Node.js that package.json pins, after installing what is missing.
// Plain JavaScript on purpose: the Node.js that starts this file may be older than the one the project needs.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const lock = join(root, 'package-lock.json');
const stamp = join(root, 'node_modules', '.installed-lock.json');

if (existsSync(lock)) installMissing();
const local = join(root, 'node_modules', 'node', 'bin', 'node');
const node = existsSync(local) ? local : process.execPath;
const path = [dirname(node), join(root, 'node_modules', '.bin'), process.env.PATH].join(
  process.platform === 'win32' ? ';' : ':',
);
const child = spawn(node, process.argv.slice(2), { stdio: 'inherit', env: { ...process.env, PATH: path } });
// The terminal sends Ctrl-C to the whole group; the child decides how it ends, we only pass its verdict on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)));

/** Installs when the lock file differs from the one of the last installation. Prints to stderr, so stdout stays the program's. */
function installMissing() {
  const wanted = readFileSync(lock, 'utf8');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  process.stderr.write('reprieve: installing dependencies (once)...\n');
  // `npm install --no-save` rather than `npm ci`: the lock file names no registry, which `npm ci` refuses.
  const done = spawnSync('npm', ['install', '--no-save', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (done.status !== 0) {
    process.stderr.write('reprieve: "npm install" failed; see the lines above, then run the command again\n');
    process.exit(done.status ?? 1);
  }
  writeFileSync(stamp, wanted);
}
