// What must hold for everything of ours in a node's kernel, whatever happened to the agent: nothing twice, nothing
// that nobody refers to.

import type { Lab } from './lab.ts'

/** Sentences about what is wrong; empty: nothing. */
export async function untidyState(
  lab: Lab,
  node: string,
  variant: 'nft' | 'legacy',
): Promise<readonly string[]> {
  const output = async (argv: readonly string[]): Promise<string> =>
    (await lab.exec(node, argv, { mayFail: true })).stdout
  const [rules4, rules6, policy4, policy6, routes, links] = await Promise.all([
    output([`/usr/sbin/iptables-${variant}-save`]),
    output([`/usr/sbin/ip6tables-${variant}-save`]),
    output(['/usr/sbin/ip', 'rule']),
    output(['/usr/sbin/ip', '-6', 'rule']),
    output(['/usr/sbin/ip', 'route', 'show', 'table', '5390']),
    output(['/usr/sbin/bpftool', '-j', 'link', 'show']),
  ])
  return [
    ...untidyRules('iptables', rules4),
    ...untidyRules('ip6tables', rules6),
    ...twice('ip rule', lines(policy4)),
    ...twice('ip -6 rule', lines(policy6)),
    ...twice('route', lines(routes)),
    ...(await untidyLinks(lab, node, links)),
  ]
}

/** Rules that refuse or drop, with how often they did: for reports of what went wrong. */
export async function refusals(
  lab: Lab,
  node: string,
  variant: 'nft' | 'legacy',
): Promise<ReadonlyMap<string, number>> {
  const saved = await Promise.all(
    ['iptables', 'ip6tables'].map(async (tool) => {
      const { stdout } = await lab.exec(node, [`/usr/sbin/${tool}-${variant}-save`, '-c'], { mayFail: true })
      return lines(stdout).map((line) => `${tool} ${line}`)
    }),
  )
  return new Map(
    saved.flat().flatMap((line) => {
      const found = /^(\S+) \[([0-9]+):[0-9]+\] (-A .* -j (?:REJECT|DROP).*)$/.exec(line)
      return found === null ? [] : [[`${found[1]} ${found[3]}`, Number(found[2])] as const]
    }),
  )
}

function untidyRules(tool: string, saved: string): readonly string[] {
  const problems: string[] = []
  for (const table of saved.split(/^(?=\*)/m)) {
    const all = lines(table)
    const rules = all.filter((line) => line.startsWith('-A '))
    problems.push(...twice(tool, rules))
    const used = new Set(rules.flatMap((rule) => / -[jg] (\S+)/.exec(rule)?.[1] ?? []))
    for (const line of all) {
      const chain = /^:(KUBE-(?:SVC|SVL|EXT|SEP|FW)-[A-Z0-9]{16}) /.exec(line)?.[1]
      if (chain !== undefined && !used.has(chain)) problems.push(`${tool}: nothing leads to ${chain}`)
    }
  }
  return problems
}

function twice(what: string, all: readonly string[]): readonly string[] {
  const seen = new Set<string>()
  return all.flatMap((line) => {
    if (seen.has(line)) return [`${what}: twice: ${line}`]
    seen.add(line)
    return []
  })
}

/** At most one sk_lookup program on the node's namespace. */
async function untidyLinks(lab: Lab, node: string, json: string): Promise<readonly string[]> {
  const inode = (await lab.exec(node, ['/usr/bin/readlink', '/proc/self/ns/net'])).stdout.replaceAll(
    /\D/g,
    '',
  )
  const links: unknown = json.trim() === '' ? [] : JSON.parse(json)
  if (!Array.isArray(links)) return []
  const ours = links.filter((link: { readonly netns_ino?: number }) => String(link.netns_ino) === inode)
  return ours.length > 1 ? [`${ours.length} BPF programs hang on the namespace of ${node}`] : []
}

function lines(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}
