import type { Program } from '../types.ts';

/** What most of them do: a script that writes its facts into a file. */
const script = (file: string): Pick<Program, 'sources' | 'start' | 'look'> => ({
  sources: [file, 'facts.py'],
  start: `exec python3 -u /programs/${file}`,
  look: 'cat /work/state',
});

export const PYTHON: readonly Program[] = [
  {
    slug: 'multiprocessing',
    name: 'Python multiprocessing',
    load: 'four workers with a lock, a queue and shared memory',
    image: 'sample',
    needs: { debian: ['python3'] },
    ...script('workers.py'),
    judge: { grows: ['handled', 'cell'], same: ['workers'], is: { alive: '4', shared: 'yes' } },
    mustBeWhole: true,
  },
  {
    slug: 'asyncio',
    name: 'Python asyncio',
    load: 'a server and clients over a unix socket, subprocesses, timers',
    image: 'services',
    needs: { debian: ['python3'] },
    ...script('asynchronous.py'),
    judge: { grows: ['answers', 'ticks', 'children'], same: ['session'] },
  },
  {
    slug: 'pytorch',
    name: 'PyTorch training on the CPU',
    load: 'a training loop with two DataLoader workers that hand over tensors in shared memory',
    image: 'science',
    needs: { debian: ['python3-torch'] },
    ...script('train.py'),
    judge: { grows: ['step'], same: ['workers', 'seed'], is: { learns: 'yes' } },
    mustBeWhole: true,
  },
  {
    slug: 'pandas',
    name: 'numpy and pandas',
    load: 'matrix products on two threads and groups of a frame of a million rows',
    image: 'science',
    needs: { debian: ['python3-numpy', 'python3-pandas', 'libopenblas0-pthread'] },
    ...script('frames.py'),
    judge: { grows: ['round'], same: ['frame', 'product'] },
  },
  {
    slug: 'jupyter',
    name: 'Jupyter with a kernel',
    load: 'an IPython kernel and its client over ZeroMQ, which runs cells',
    image: 'science',
    needs: { debian: ['python3-ipykernel', 'python3-jupyter-client'] },
    ...script('notebook.py'),
    judge: { grows: ['cells', 'x'], same: ['kernel'], is: { alive: 'True' } },
    mustBeWhole: true,
  },
  {
    slug: 'dask',
    name: 'Dask',
    load: 'a scheduler with two worker processes over TCP, and a client that submits tasks',
    image: 'science',
    needs: { debian: ['python3-distributed'] },
    ...script('cluster.py'),
    judge: { grows: ['rounds'], same: ['held', 'scheduler'] },
  },
];
