// The spelling of ids and ports, which kube-proxy's hashes depend on.

import test from 'ava'
import { serviceId, servicePortKey } from '#agent/model/ids.ts'
import { isPort, lowerProtocol, PROTOCOLS } from '#agent/model/port.ts'
import { formatProblem, messageOf, ShuntError } from '#agent/model/errors.ts'

test('a Service port key names the port only if it has a name', (t) => {
  const id = serviceId('default', 'web')
  t.is(String(id), 'default/web')
  t.is(String(servicePortKey(id, '', 'TCP')), 'default/web/TCP')
  t.is(String(servicePortKey(id, 'http', 'UDP')), 'default/web:http/UDP')
})

test('ports are whole numbers from 1 to 65535', (t) => {
  t.deepEqual([1, 80, 65535].map(isPort), [true, true, true])
  t.deepEqual(
    [0, -1, 65536, 1.5, Number.NaN, Infinity, '80', null, undefined].map(isPort),
    Array.from({ length: 9 }, () => false),
  )
  t.deepEqual(PROTOCOLS.map(lowerProtocol), ['tcp', 'udp', 'sctp'])
})

test('an error has the hint of its code unless it brings its own', (t) => {
  t.is(new ShuntError('NOT_FOUND', 'no such Service').hint, 'list what exists with `shunt services`')
  const cause = new Error('inner')
  const error = new ShuntError('INTERNAL', 'outer', { cause, hint: 'do this' })
  t.is(error.hint, 'do this')
  t.is(error.cause, cause)
  t.is(messageOf(error), 'outer')
  t.is(messageOf('text'), 'text')
})

test('a problem prints what is known of its place', (t) => {
  const problem = {
    code: 'OBJECT_INVALID',
    severity: 'error',
    message: 'expected a number',
    object: 'Service default/web',
    field: 'spec.ports[0].port',
  } as const
  t.is(formatProblem(problem), 'Service default/web: spec.ports[0].port: expected a number')
  t.is(
    formatProblem({ ...problem, object: '', field: '', file: 'a.yaml', line: 3 }),
    'a.yaml:3: expected a number',
  )
})
