// Files that are bad as a whole, read from a real folder.

import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { checkManifests, loadManifests } from '../../agent/cluster/manifests.ts'
import { NODE, SERVICE, SLICE } from '../fixtures/malformed/bases.ts'

interface BadFile {
  readonly title: string
  readonly name: string
  readonly content: string | Uint8Array
  readonly code: string
  readonly line?: number
  readonly message: RegExp
}

const MIB = 1024 * 1024

const BAD_FILES: readonly BadFile[] = [
  {
    title: 'a file of 10 MB',
    name: 'bad.yaml',
    content: `# ${'x'.repeat(10_000_000)}\n${SERVICE}`,
    code: 'MANIFEST_UNREADABLE',
    message: /^is 10000\d{3} bytes large, expected at most 4194304 \(4 MiB\)/,
  },
  {
    title: 'a file that is not UTF-8',
    name: 'bad.yaml',
    content: Buffer.concat([Buffer.from('apiVersion: v1\nkind: '), Buffer.from([0xff, 0xfe, 0x41])]),
    code: 'MANIFEST_UNREADABLE',
    line: 2,
    message: /not valid UTF-8 from this line on/,
  },
  {
    title: 'UTF-16 text',
    name: 'bad.yaml',
    content: Buffer.from(`\uFEFF${SERVICE}`, 'utf16le'),
    code: 'MANIFEST_UNREADABLE',
    line: 1,
    message: /not valid UTF-8/,
  },
  {
    title: 'aliases that multiply',
    name: 'bad.yaml',
    content: [
      'a: &a [x, x, x, x, x, x, x, x, x, x]',
      ...['b', 'c', 'd', 'e', 'f', 'g'].map((name, i) => {
        const before = 'abcdefg'.charAt(i)
        return `${name}: &${name} [${Array(10).fill(`*${before}`).join(', ')}]`
      }),
    ].join('\n'),
    code: 'MANIFEST_SYNTAX',
    line: 2,
    message: /aliases stand for more than 1000 values, which is refused/,
  },
  {
    title: 'YAML nested a hundred thousand levels deep',
    name: 'bad.yaml',
    content: `apiVersion: v1\nkind: Service\nspec: ${'['.repeat(100_000)}`,
    code: 'MANIFEST_SYNTAX',
    message: /nested deeper than 100 levels/,
  },
  {
    title: 'JSON nested a hundred thousand levels deep',
    name: 'bad.json',
    content: `{"spec":\n${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    code: 'MANIFEST_SYNTAX',
    line: 2,
    message: /nested deeper than 100 levels/,
  },
  {
    title: 'JSON cut off in the middle',
    name: 'bad.json',
    content: '{"apiVersion": "v1",\n "kind": "Service",\n "metadata": {"name":',
    code: 'MANIFEST_SYNTAX',
    line: 3,
    message: /^not valid JSON: expected a value, found the end of the file$/,
  },
  {
    title: 'JSON with a comma too many',
    name: 'bad.json',
    content: '{"apiVersion": "v1",\n "kind": "Service",\n}\n',
    code: 'MANIFEST_SYNTAX',
    line: 3,
    message: /^not valid JSON: expected a quoted key, found }$/,
  },
  {
    title: 'binary data',
    name: 'bad.yaml',
    content: Buffer.from([0x00, 0x01, 0x02, 0x7b, 0x5b, 0x00]),
    code: 'OBJECT_INVALID',
    line: 1,
    message: /expected an object with apiVersion and kind/,
  },
]

async function folderOf(t: ExecutionContext, files: Readonly<Record<string, string | Uint8Array>>) {
  const dir = await mkdtemp(join(tmpdir(), 'shunt-manifests-'))
  t.teardown(() => rm(dir, { recursive: true }))
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content)
  return dir
}

for (const { title, name, content, code, line, message } of BAD_FILES) {
  test(`${title} is refused with its reason, and the other files load`, async (t) => {
    const dir = await folderOf(t, { 'a.yaml': SERVICE, [name]: content, 'z.yaml': NODE })
    const { snapshot, objects, problems } = await loadManifests(dir, 'node-a')
    t.is(problems.length, 1)
    t.like(problems[0], { code, severity: 'error', file: join(dir, name) })
    t.is(problems[0]?.line, line ?? problems[0]?.line)
    t.regex(problems[0]?.message ?? '', message)
    t.is(objects, 2)
    t.true(snapshot.services.size === 1 && snapshot.node?.name === 'node-a')
  })
}

test('a file just under the limit is read', async (t) => {
  const padding = `# ${'x'.repeat(4 * MIB - SERVICE.length - 3)}\n`
  const dir = await folderOf(t, { 'a.yaml': padding + SERVICE })
  t.deepEqual(await checkManifests(dir), { objects: 1, problems: [] })
})

test('a pipe is refused without waiting for a writer', async (t) => {
  const dir = await folderOf(t, { 'a.yaml': SERVICE })
  execFileSync('/usr/bin/mkfifo', [join(dir, 'pipe.yaml')])
  const { objects, problems } = await checkManifests(dir)
  t.is(objects, 1)
  t.regex(problems[0]?.message ?? '', /not a regular file/)
})

test('a link into nothing is reported', async (t) => {
  const dir = await folderOf(t, { 'a.yaml': SERVICE })
  await symlink(join(dir, 'nowhere'), join(dir, 'link.yaml'))
  const { problems } = await checkManifests(dir)
  t.like(problems[0], { code: 'MANIFEST_UNREADABLE', file: join(dir, 'link.yaml') })
})

test('subfolders, hidden files and files of other endings are left alone', async (t) => {
  const dir = await folderOf(t, { 'a.yml': SERVICE, '.b.yaml': '{', 'c.yaml~': '{', 'README.md': '{' })
  await mkdir(join(dir, 'sub.yaml'))
  t.deepEqual(await checkManifests(dir), { objects: 1, problems: [] })
})

test('a byte order mark, Windows line ends, comments and empty documents are fine', async (t) => {
  const text = `\uFEFF# a comment\n---\n---\n# nothing\n---\n${SERVICE}...\n%YAML 1.2\n---\n${SLICE}---\n`
  const dir = await folderOf(t, { 'a.yaml': text, 'b.yaml': NODE.replaceAll('\n', '\r\n') })
  t.deepEqual(await checkManifests(dir), { objects: 3, problems: [] })
})

test('an empty file and an empty folder hold nothing and are no problem', async (t) => {
  t.deepEqual(await checkManifests(await folderOf(t, { 'a.yaml': '', 'b.json': '\n' })), {
    objects: 0,
    problems: [],
  })
})

test('a single file is read whatever its name', async (t) => {
  const dir = await folderOf(t, { 'objects.txt': SERVICE })
  t.deepEqual(await checkManifests(join(dir, 'objects.txt')), { objects: 1, problems: [] })
})

test('a path that does not exist is an error of its own', async (t) => {
  await t.throwsAsync(checkManifests('/nonexistent/folder'), { message: /no such file or folder/ })
})

test('the first of two documents of one object is used, in the order of file names', async (t) => {
  const other = SERVICE.replace('10.96.0.10', '10.96.0.99')
  const dir = await folderOf(t, { 'b.yaml': other, 'a.yaml': `${NODE}---\n${SERVICE}` })
  const { snapshot, problems } = await loadManifests(dir)
  t.deepEqual([...snapshot.services.values()][0]?.clusterIps.map(String), ['10.96.0.10'])
  t.is(problems.length, 1)
  t.like(problems[0], { code: 'OBJECT_DUPLICATE', object: 'Service default/web', file: join(dir, 'b.yaml') })
  t.regex(problems[0]?.message ?? '', /a\.yaml:10, which is used/)
})

test('an object with countless mistakes has a bounded number of problems', async (t) => {
  const dir = await folderOf(t, {
    'a.yaml': SLICE.replace('[10.244.1.5]', '[x]') + '  - addresses: [x]\n'.repeat(500),
  })
  const { problems } = await checkManifests(dir)
  t.is(problems.length, 50)
  t.regex(problems.at(-1)?.message ?? '', /further problems of this object are not listed/)
})
