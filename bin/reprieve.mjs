#!/usr/bin/env node
const [major] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(
    `reprieve: needs Node.js 24 or newer, this is ${process.versions.node}; run it through bin/with-node.mjs\n`,
  );
  process.exit(1);
}
await import('../src/main.ts');
