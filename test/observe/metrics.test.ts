import test from 'ava'
import { createMetrics } from '#agent/observe/metrics.ts'

function registry(maxLines?: number) {
  const misuses: string[] = []
  const metrics = createMetrics({
    onMisuse: (message) => misuses.push(message),
    ...(maxLines === undefined ? {} : { maxLines }),
  })
  return { metrics, misuses }
}

test('a counter adds up by label and prints with help and type', (t) => {
  const { metrics, misuses } = registry()
  metrics.add('shunt_sync_failures_total', { datapath: 'iptables' })
  metrics.add('shunt_sync_failures_total', { datapath: 'iptables' }, 2)
  t.is(
    metrics.text(),
    [
      '# HELP shunt_sync_failures_total Syncs that failed; the old rules stayed in force.',
      '# TYPE shunt_sync_failures_total counter',
      'shunt_sync_failures_total{datapath="iptables"} 3',
      '',
    ].join('\n'),
  )
  t.deepEqual(misuses, [])
})

test('a gauge without labels holds the last value', (t) => {
  const { metrics } = registry()
  metrics.set('shunt_plan_generation', 4)
  metrics.set('shunt_plan_generation', 7)
  t.is(metrics.value('shunt_plan_generation'), 7)
  t.regex(metrics.text(), /^shunt_plan_generation 7$/m)
})

test('a histogram is cumulative and ends with +Inf, sum and count', (t) => {
  const { metrics } = registry()
  for (const value of [0.0005, 0.003, 100]) metrics.observe('shunt_plan_build_seconds', value)
  const text = metrics.text()
  t.regex(text, /^shunt_plan_build_seconds_bucket\{le="0.001"\} 1$/m)
  t.regex(text, /^shunt_plan_build_seconds_bucket\{le="0.004"\} 2$/m)
  t.regex(text, /^shunt_plan_build_seconds_bucket\{le="16.384"\} 2$/m)
  t.regex(text, /^shunt_plan_build_seconds_bucket\{le="\+Inf"\} 3$/m)
  t.regex(text, /^shunt_plan_build_seconds_sum 100.0035$/m)
  t.regex(text, /^shunt_plan_build_seconds_count 3$/m)
})

test('label values are escaped', (t) => {
  const { metrics } = registry()
  metrics.add('shunt_proxy_connections_total', { service: 'a"b\\c\nd' })
  t.regex(metrics.text(), /service="a\\"b\\\\c\\nd"/)
})

test('wrong uses are reported once and change nothing', (t) => {
  const { metrics, misuses } = registry()
  metrics.add('shunt_plan_generation')
  metrics.add('shunt_plan_generation')
  metrics.set('shunt_steering_active', 1)
  metrics.set('shunt_steering_active', 1, { mechanism: 'dnat', colour: 'red' })
  metrics.add('shunt_sync_failures_total', { datapath: 'iptables' }, -1)
  t.deepEqual(misuses, [
    'metric shunt_plan_generation is a gauge, used as a counter',
    'metric shunt_steering_active wants labels [mechanism], got []',
    'metric shunt_steering_active wants labels [mechanism], got [mechanism, colour]',
    'counter shunt_sync_failures_total cannot go down',
  ])
  t.notRegex(metrics.text(), /steering_active|generation/)
})

test('series beyond the limit are gathered under `other`', (t) => {
  const { metrics } = registry(2)
  for (const service of ['a', 'b', 'c', 'd', 'a']) metrics.add('shunt_proxy_connections_total', { service })
  t.is(metrics.value('shunt_proxy_connections_total', { service: 'a' }), 2)
  t.is(metrics.value('shunt_proxy_connections_total', { service: 'c' }), undefined)
  t.is(metrics.value('shunt_proxy_connections_total', { service: 'other' }), 2)
})

test('a series that was looked up once counts as one that is looked up each time', (t) => {
  const { metrics, misuses } = registry()
  const failures = metrics.counter('shunt_sync_failures_total', { datapath: 'iptables' })
  failures()
  failures(2)
  metrics.add('shunt_sync_failures_total', { datapath: 'iptables' })
  t.is(metrics.value('shunt_sync_failures_total', { datapath: 'iptables' }), 4)
  const build = metrics.histogram('shunt_plan_build_seconds')
  build(0.5)
  t.regex(metrics.text(), /^shunt_plan_build_seconds_count 1$/m)
  t.deepEqual(misuses, [])
  failures(-1)
  metrics.counter('shunt_plan_build_seconds')()
  metrics.histogram('shunt_sync_failures_total', { datapath: 'iptables' })(1)
  t.is(metrics.value('shunt_sync_failures_total', { datapath: 'iptables' }), 4)
  t.is(misuses.length, 3)
})

test('a histogram has room for fewer series, because each takes many lines', (t) => {
  const { metrics } = registry(2 * 22)
  for (const service of ['a', 'b', 'c', 'd']) metrics.observe('shunt_proxy_connect_seconds', 0.1, { service })
  const counts = metrics.text().match(/^shunt_proxy_connect_seconds_count.*$/gm)
  t.deepEqual(counts, [
    'shunt_proxy_connect_seconds_count{service="a"} 1',
    'shunt_proxy_connect_seconds_count{service="b"} 1',
    'shunt_proxy_connect_seconds_count{service="other"} 2',
  ])
})

test('what is asked for at a scrape is written before the text, and one failure hides nothing else', (t) => {
  const { metrics, misuses } = registry()
  let bytes = 0
  metrics.beforeText(() => {
    throw new Error('the worker is gone')
  })
  metrics.beforeText((live) => {
    live.set('shunt_proxy_connections_active', 7)
    live.total('shunt_proxy_worker_counts_total', (bytes += 100), { worker: '0', what: 'spliced_bytes' })
  })
  metrics.text()
  const text = metrics.text()
  t.regex(text, /^shunt_proxy_connections_active 7$/m)
  t.regex(text, /^shunt_proxy_worker_counts_total\{worker="0",what="spliced_bytes"\} 200$/m)
  t.deepEqual(misuses, ['values that are asked for at each scrape are missing: the worker is gone'])
})

test('series of a deleted Service go, and come back from 0 if it still counts', (t) => {
  const { metrics } = registry()
  const kept = metrics.counter('shunt_proxy_connections_total', { service: 'a' })
  const dropped = metrics.counter('shunt_proxy_connections_total', { service: 'b' })
  const times = metrics.histogram('shunt_proxy_connection_seconds', { service: 'b' })
  for (const count of [kept, dropped, dropped]) count()
  times(1)
  metrics.add('shunt_proxy_connections_total', { service: '' })
  metrics.set('shunt_view_generation', 1)
  metrics.forget('service', (service) => service !== 'a')
  t.deepEqual(metrics.text().match(/^shunt.*$/gm), [
    'shunt_view_generation 1',
    'shunt_proxy_connections_total{service="a"} 1',
    'shunt_proxy_connections_total{service=""} 1',
  ])
  for (const count of [kept, dropped]) count()
  times(2)
  t.is(metrics.value('shunt_proxy_connections_total', { service: 'a' }), 2)
  t.is(metrics.value('shunt_proxy_connections_total', { service: 'b' }), 1)
  t.regex(metrics.text(), /^shunt_proxy_connection_seconds_sum\{service="b"\} 2$/m)
})
