import test from 'ava'
import { servicePortKey, serviceId } from '#agent/model/ids.ts'
import { AffinityTable } from '#agent/proxy/decision/affinity.ts'
import { endpoint, ip, WEB } from '../views.ts'

const A = endpoint('10.244.1.2:8080')
const B = endpoint('10.244.2.3:8080')
const CLIENT = ip('10.244.1.7')

test('a client is remembered until its time is over', (t) => {
  const table = new AffinityTable()
  table.remember(WEB, CLIENT, A, 10, 1_000)
  t.is(table.find(WEB, CLIENT, 10_999), A)
  t.is(table.find(WEB, CLIENT, 11_000), undefined)
})

test('every new connection restarts the time', (t) => {
  const table = new AffinityTable()
  table.remember(WEB, CLIENT, A, 10, 0)
  table.remember(WEB, CLIENT, A, 10, 9_000)
  t.is(table.find(WEB, CLIENT, 18_999), A)
})

test('Service ports and clients are apart', (t) => {
  const table = new AffinityTable()
  table.remember(WEB, CLIENT, A, 10, 0)
  t.is(table.find(servicePortKey(serviceId('default', 'web'), 'b', 'TCP'), CLIENT, 0), undefined)
  t.is(table.find(WEB, ip('10.244.1.8'), 0), undefined)
})

test('a full table forgets whom it saw longest ago', (t) => {
  const table = new AffinityTable(2)
  table.remember(WEB, ip('10.0.0.1'), A, 10, 0)
  table.remember(WEB, ip('10.0.0.2'), A, 10, 0)
  table.remember(WEB, ip('10.0.0.1'), B, 10, 0)
  table.remember(WEB, ip('10.0.0.3'), A, 10, 0)
  t.is(table.size, 2)
  t.is(table.find(WEB, ip('10.0.0.1'), 0), B)
  t.is(table.find(WEB, ip('10.0.0.2'), 0), undefined)
})

test('a sweep drops what is over and keeps the rest', (t) => {
  const table = new AffinityTable()
  table.remember(WEB, ip('10.0.0.1'), A, 10, 0)
  table.remember(WEB, ip('10.0.0.2'), A, 20, 0)
  table.sweep(15_000)
  t.is(table.size, 1)
  t.is(table.find(WEB, ip('10.0.0.2'), 15_000), A)
})
