import test from 'ava'
import type { Remain } from '#agent/cli/ports.ts'
import type { Problem } from '#agent/model/errors.ts'
import { golden, runCommand } from './run-command.ts'
import { clusterPlan } from './a-cluster.ts'

const ERROR: Problem = {
  code: 'OBJECT_INVALID',
  severity: 'error',
  message: 'must be from 1 to 65535, got 70000',
  object: 'Service default/web',
  field: 'spec.ports[0].port',
  file: 'web.yaml',
  line: 12,
}

const WARNING: Problem = {
  code: 'FIELD_UNKNOWN',
  severity: 'warning',
  message: 'unknown field',
  object: '',
  field: '',
}

function manifests(...problems: readonly Problem[]) {
  return () => Promise.resolve({ objects: 3, problems, plan: () => clusterPlan() })
}

test('validate names every problem with file, line and field, and fails for errors', async (t) => {
  t.deepEqual(await runCommand('validate -f m', { manifests: manifests(ERROR, WARNING) }), {
    code: 1,
    stdout: golden(`
      web.yaml:12: error: Service default/web: spec.ports[0].port: must be from 1 to 65535, got 70000 (OBJECT_INVALID)
      warning: unknown field (FIELD_UNKNOWN)
      3 objects, 1 error, 1 warning
    `),
    stderr: '',
  })
})

test('validate accepts warnings', async (t) => {
  t.like(await runCommand('validate -f m', { manifests: manifests(WARNING) }), { code: 0 })
})

test('validate -o json', async (t) => {
  const { stdout } = await runCommand('validate -f m -o json', { manifests: manifests(ERROR) })
  t.deepEqual(JSON.parse(stdout), { objects: 3, errors: 1, warnings: 0, problems: [ERROR] })
})

test('validate without -f is wrong usage', async (t) => {
  t.deepEqual(await runCommand('validate'), {
    code: 2,
    stdout: '',
    stderr: 'error: what to validate is missing: give -f PATH (USAGE)\nhint: run the command with --help\n',
  })
})

test('offline commands go on without the bad documents, and say so', async (t) => {
  const { code, stderr, stdout } = await runCommand('services -f m', { manifests: manifests(ERROR) })
  t.is(code, 0)
  t.true(stdout.includes('default/web'))
  t.is(stderr, 'warning: 1 error in the manifests; see `shunt validate -f m`\n')
})

test('trace offline asks neither agent nor kernel', async (t) => {
  const { code, stdout } = await runCommand('trace 10.244.1.9 10.96.0.10:80 -f m', { manifests: manifests() })
  t.is(code, 0)
  t.true(stdout.endsWith('kernel     not asked: offline\n'))
  t.regex(stdout, /50\.0% {2}10\.244\.1\.5:8080 {3}ready · this node/)
})

interface Removed {
  readonly removed: string[]
  readonly node: { remains: (all: boolean) => Promise<readonly Remain[]> }
}

function remaining(...whats: readonly string[]): Removed {
  const removed: string[] = []
  const remains = (all: boolean): Promise<readonly Remain[]> =>
    Promise.resolve(
      [...whats, ...(all ? ["kube-proxy's table"] : [])].map((what) => ({
        what,
        remove: () => {
          if (what === 'stuck') return Promise.reject(new Error('busy'))
          removed.push(what)
          return Promise.resolve()
        },
      })),
    )
  return { removed, node: { remains } }
}

test('cleanup removes what there is, in order', async (t) => {
  const { removed, node } = remaining('rules', 'files')
  t.deepEqual(await runCommand('cleanup --all', { node }), {
    code: 0,
    stdout: "removed rules\nremoved files\nremoved kube-proxy's table\n",
    stderr: '',
  })
  t.deepEqual(removed, ['rules', 'files', "kube-proxy's table"])
})

test('cleanup --dry-run removes nothing, also beside a running agent', async (t) => {
  const { removed, node } = remaining('rules')
  const agent = { '/status': { pid: 1 }, '/config': { iptablesVariant: 'nft', masqueradeBit: 14 } }
  t.deepEqual(await runCommand('cleanup --dry-run', { node, agent }), {
    code: 0,
    stdout: 'would remove rules\n',
    stderr: '',
  })
  t.deepEqual(removed, [])
})

test('cleanup refuses while an agent or a proxy runs, unless forced', async (t) => {
  const { removed, node } = remaining('rules')
  const proxy = { '/status': {} }
  const { code, stdout, stderr } = await runCommand('cleanup', { node, proxy })
  t.is(code, 1)
  t.is(stdout, '')
  t.regex(stderr, /^error: the proxy of \/run\/shunt is running \(ALREADY_RUNNING\)\nhint: stop it first/)
  t.deepEqual(removed, [])
  t.like(await runCommand('cleanup --force', { node, proxy }), { code: 0 })
  t.deepEqual(removed, ['rules'])
})

test('cleanup goes on after a failure, and fails', async (t) => {
  const { removed, node } = remaining('stuck', 'files')
  t.deepEqual(await runCommand('cleanup', { node }), {
    code: 1,
    stdout: 'removed files\n',
    stderr: 'error: stuck: busy\n',
  })
  t.deepEqual(removed, ['files'])
})

test('cleanup on a clean node', async (t) => {
  t.like(await runCommand('cleanup', { node: remaining().node }), { code: 0, stdout: 'nothing to remove\n' })
})
