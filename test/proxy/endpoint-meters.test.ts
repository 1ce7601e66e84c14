import test from 'ava'
import { createMetrics, type MetricsRegistry } from '#agent/observe/metrics.ts'
import type { ProxyView, ViewEndpoint } from '#agent/proxy/decision/view.ts'
import { EndpointMeters } from '#agent/proxy/endpoint-meters.ts'
import { CLIENT, startIntake, STEERED } from './intake-lab.ts'
import { endpoint, view, WEB } from './views.ts'

const A = endpoint('10.0.0.1:80')
const B = endpoint('10.0.0.2:80')
const C = endpoint('10.0.0.3:80')

function registry(t: { fail(message: string): void }): MetricsRegistry {
  return createMetrics({ onMisuse: (message) => t.fail(message) })
}

function count(metrics: MetricsRegistry, endpoint: string, result: string): number | undefined {
  return metrics.value('shunt_proxy_endpoint_attempts_total', {
    service: WEB,
    endpoint,
    result,
  })
}

function viewOf(...cluster: readonly ViewEndpoint[]): ProxyView {
  return view({ services: { [WEB]: { key: WEB, cluster, local: [] } } })
}

test('without the option nothing is counted', (t) => {
  const metrics = registry(t)
  new EndpointMeters(metrics, 0).attempted(WEB, A, true)
  t.is(metrics.text(), '')
})

test('endpoints beyond the bound count together, those known before for themselves', (t) => {
  const metrics = registry(t)
  const meters = new EndpointMeters(metrics, 2)
  for (const one of [A, B, C, A, C]) meters.attempted(WEB, one, one !== C)
  t.is(count(metrics, '10.0.0.1:80', 'connected'), 2)
  t.is(count(metrics, '10.0.0.2:80', 'connected'), 1)
  t.is(count(metrics, '10.0.0.3:80', 'failed'), undefined)
  t.is(count(metrics, 'other', 'failed'), 2)
})

test('an endpoint that left the view makes room for another', (t) => {
  const metrics = registry(t)
  const meters = new EndpointMeters(metrics, 2)
  meters.attempted(WEB, A, true)
  meters.attempted(WEB, B, true)
  meters.prune(metrics, viewOf(B, C))
  t.is(count(metrics, '10.0.0.1:80', 'connected'), undefined)
  t.is(count(metrics, '10.0.0.2:80', 'connected'), 1)
  meters.attempted(WEB, C, false)
  t.is(count(metrics, '10.0.0.3:80', 'failed'), 1)
  meters.attempted(WEB, A, true)
  t.is(count(metrics, 'other', 'connected'), 1)
})

test('the proxy counts attempts that an endpoint answered for, not those that were cancelled', (t) => {
  const lab = startIntake({ endpoints: ['10.0.0.1:80', '10.0.0.2:80'], endpointMetrics: 10 })
  const first = lab.engine.accept(CLIENT, STEERED)
  const [tried = '', next = ''] = lab.candidates(first)
  lab.engine.events.attemptFailed(first, 0, 'ECONNREFUSED', 100)
  lab.engine.events.connected(first, 1, 100)
  lab.engine.end(first, 'closed')
  const second = lab.engine.accept(CLIENT, STEERED)
  lab.engine.end(second, 'client-gone')
  t.is(count(lab.metrics, tried, 'failed'), 1)
  t.is(count(lab.metrics, next, 'connected'), 1)
  t.is(lab.metrics.text().match(/^shunt_proxy_endpoint_attempts_total.* [1-9]/gm)?.length, 2)
})
