import test from 'ava'
import * as fc from 'fast-check'
import { JsonLines } from '#agent/proxy/json-lines.ts'

test('documents come out whatever the pieces they arrive in', (t) => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.array(fc.nat(40)), (documents, cuts) => {
      const wire = documents.map((each) => `${JSON.stringify(each)}\n`).join('')
      const lines = new JsonLines()
      const got: unknown[] = []
      let at = 0
      for (const cut of [...cuts, wire.length]) {
        for (const line of lines.push(wire.slice(at, at + cut)))
          if (line.kind === 'json') got.push(line.value)
        at += cut
      }
      t.deepEqual(JSON.stringify(got), JSON.stringify(documents))
    }),
  )
})

test('a line that is not JSON is broken', (t) => {
  const [line] = new JsonLines().push('{"kind":\n')
  t.deepEqual(line, { kind: 'broken', because: 'a line is not JSON: {"kind":' })
})
