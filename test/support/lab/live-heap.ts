// What a Node process at a place of a lab holds on to: its heap after a full collection, asked through its own inspector,
// which SIGUSR1 opens. Resident memory breathes with V8's mood; this does not.

import type { Lab } from './lab.ts'

export interface LiveHeap {
  readonly heapUsedBytes: number
  /** Outside of the heap, held by it. */
  readonly externalBytes: number
}

/** It leaves the inspector open: one process of a place at a time. */
export async function liveHeapOf(lab: Lab, place: string, pid: number): Promise<LiveHeap> {
  process.kill(pid, 'SIGUSR1')
  const { stdout } = await lab.exec(place, [process.execPath, '--input-type=module', '--eval', ASK])
  return JSON.parse(stdout) as LiveHeap
}

/** Runs at the place, where the inspector listens on the loopback. */
const ASK = `
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let targets
for (let tries = 0; targets === undefined; tries++) {
  try { targets = await (await fetch('http://127.0.0.1:9229/json')).json() }
  catch (error) { if (tries > 50) throw error; await wait(100) }
}
const socket = new WebSocket(targets[0].webSocketDebuggerUrl)
await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject })
let asked = 0
const ask = (method, params = {}) => new Promise((resolve) => {
  const id = ++asked
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(data)
    if (answer.id === id) resolve(answer.result)
  })
  socket.send(JSON.stringify({ id, method, params }))
})
await ask('HeapProfiler.collectGarbage')
await wait(200)
await ask('HeapProfiler.collectGarbage')
const { result } = await ask('Runtime.evaluate', {
  expression: '(({ heapUsed, external }) => ({ heapUsedBytes: heapUsed, externalBytes: external }))(process.memoryUsage())',
  returnByValue: true,
})
console.log(JSON.stringify(result.value))
socket.close()
`
