// One finding of `shunt check`.

export interface CheckResult {
  /** What was looked at: `iptables-restore`, `net.ipv4.ip_forward`. */
  readonly name: string
  /** `bad` keeps Shunt from working, `warn` may surprise, `info` is a fact. */
  readonly level: 'ok' | 'info' | 'warn' | 'bad'
  readonly found: string
  /** What to do about `warn` and `bad`; '' for the others. */
  readonly hint: string
}

export const result = {
  ok: (name: string, found: string): CheckResult => ({ name, level: 'ok', found, hint: '' }),
  info: (name: string, found: string): CheckResult => ({ name, level: 'info', found, hint: '' }),
  warn: (name: string, found: string, hint: string): CheckResult => ({ name, level: 'warn', found, hint }),
  bad: (name: string, found: string, hint: string): CheckResult => ({ name, level: 'bad', found, hint }),
}
