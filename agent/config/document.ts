// The table of options as a page: docs/options.md.

import { environmentOf, flagOf, OPTION_KEYS, optionRow } from './options.ts'
import { SHUNT_API_VERSION, SHUNT_KIND } from './shunt-file.ts'
import { KUBE_PROXY_FIELDS } from './kube-proxy-fields.ts'

export function optionsDocument(): string {
  const keys = OPTION_KEYS.filter((key) => optionRow(key).hidden !== true)
  const rows = keys.map((key) => {
    const row = optionRow(key)
    const fallback = row.defaultText ?? row.type.format(row.default)
    return [
      `\`${flagOf(key)}\``,
      `\`${environmentOf(key)}\``,
      `\`${key}\``,
      row.type.name,
      fallback === '' ? 'none' : fallback,
      row.commands.join(', '),
      row.doc,
    ]
  })
  const fields = Object.entries(KUBE_PROXY_FIELDS).flatMap(([path, row]) =>
    row.kind === 'mapped'
      ? [[`\`${path}\``, `\`${row.option}\``]]
      : row.kind === 'ignored'
        ? [[`\`${path}\``, `no effect: ${row.because}`]]
        : [],
  )
  return [
    '# Options',
    '',
    'Every option is a flag, an environment variable and a field of the configuration file. Flags win over the',
    'environment, the environment over the file, the file over the defaults. `shunt run` takes the options of the',
    'agent and of the proxy. This page is generated from the table of options.',
    '',
    ...table(['Flag', 'Environment', 'Field', 'Type', 'Default', 'Commands', 'Meaning'], rows),
    '',
    '## Configuration file',
    '',
    '`--config FILE` (or `SHUNT_CONFIG`) names a YAML file:',
    '',
    '```yaml',
    `apiVersion: ${SHUNT_API_VERSION}`,
    `kind: ${SHUNT_KIND}`,
    'manifests: /etc/shunt/manifests',
    'clusterCidr: [10.244.0.0/16]',
    'syncPeriod: 30s',
    '```',
    '',
    'The `KubeProxyConfiguration` of a kubeadm node is accepted as it stands:',
    '',
    ...table(['Field', 'Option'], fields),
    '',
  ].join('\n')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}
