import test from 'ava'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadNative } from '#agent/kernel/native.ts'
import { inheritRunLock, takeRunLock } from '#agent/kernel/run-lock.ts'
import { copyFd } from '../support/copy-fd.ts'

test('one holder for a folder, by whatever name; another folder is free; a release frees it', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'shunt-lock-'))
  const other = await mkdtemp(join(tmpdir(), 'shunt-lock-'))
  t.teardown(() => Promise.all([dir, other].map((each) => rm(each, { recursive: true, force: true }))))
  const alias = join(other, 'alias')
  await symlink(dir, alias)
  const lock = await takeRunLock('proxy', dir)
  await t.throwsAsync(takeRunLock('proxy', alias), { message: /another proxy uses the run folder/ })
  const second = await takeRunLock('proxy', other)
  second.release()
  lock.release()
  const again = await takeRunLock('proxy', alias)
  again.release()
})

test('a lock that was passed on is held until the last one lets go', async (t) => {
  const loaded = loadNative()
  if (loaded.kind === 'absent') return t.fail(loaded.because)
  const { native } = loaded
  const dir = await mkdtemp(join(tmpdir(), 'shunt-lock-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const lock = await takeRunLock('proxy', dir)
  const inherited = inheritRunLock(native, await copyFd(native, lock.fd ?? -1))
  lock.release()
  await t.throwsAsync(takeRunLock('proxy', dir), { code: 'ALREADY_RUNNING' })
  inherited.release()
  const again = await takeRunLock('proxy', dir)
  again.release()
})
