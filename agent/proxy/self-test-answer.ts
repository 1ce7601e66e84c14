// What the proxy says to a self-test connection: one line of JSON, by which the agent knows that it was the proxy, which
// one, and what it serves.

export function selfTestAnswer(pid: number, generation: number): string {
  return `${JSON.stringify({ shunt: 'proxy', pid, generation })}\n`
}
