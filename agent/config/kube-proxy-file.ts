// KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), as it stands on a kubeadm node. Fields with a meaning
// here are mapped to options; known fields without one are warnings; unknown fields are errors, as in kube-proxy.

import { decodeOption, layerBuilder, type Layer, type LayerBuilder } from './layer.ts'
import type { OptionKey } from './options.ts'
import { KUBE_PROXY_FIELDS, type FieldRow } from './kube-proxy-fields.ts'
import { closest } from './suggest.ts'
import { isYamlMap, type YamlFile, type YamlMap } from './yaml-file.ts'

export const KUBE_PROXY_API_VERSION = 'kubeproxy.config.k8s.io/v1alpha1'
export const KUBE_PROXY_KIND = 'KubeProxyConfiguration'

export function decodeKubeProxyFile(yaml: YamlFile): Layer {
  const layer = layerBuilder()
  walk(yaml, yaml.root, [], layer)
  return layer.build()
}

function walk(yaml: YamlFile, map: YamlMap, path: readonly string[], layer: LayerBuilder): void {
  const siblings = knownBelow(path)
  for (const [name, value] of Object.entries(map)) {
    const here = [...path, name]
    if (path.length === 0 && (name === 'apiVersion' || name === 'kind' || name === 'metadata')) continue
    const row: FieldRow | undefined = KUBE_PROXY_FIELDS[here.join('.')]
    if (row === undefined) {
      const mixed = siblings.length === 0 ? '' : closest(name, siblings)
      layer.report(yaml.problem('error', here, `unknown field of ${KUBE_PROXY_KIND}${mixed}`))
    } else if (row.kind === 'group') {
      if (value === null || value === undefined) continue
      if (isYamlMap(value)) walk(yaml, value, here, layer)
      else layer.report(yaml.problem('error', here, 'expected a map of fields'))
    } else field(yaml, row, here, value, layer)
  }
}

function field(
  yaml: YamlFile,
  row: Exclude<FieldRow, { kind: 'group' }>,
  path: readonly string[],
  value: unknown,
  layer: LayerBuilder,
): void {
  // kube-proxy writes "" and null for "take the default".
  if (value === null || value === undefined || value === '') return
  if (row.kind === 'mapped') {
    const given = row.translate === undefined ? value : row.translate(value)
    if (given === undefined) return
    const key: OptionKey = row.option
    layer.take(key, decodeOption(key, given), (message) => yaml.problem('error', path, message))
    return
  }
  if (row.neutral?.(value) === true) return
  layer.report(yaml.problem('warning', path, `not acted on: ${row.because}`))
}

function knownBelow(path: readonly string[]): readonly string[] {
  const prefix = path.length === 0 ? '' : `${path.join('.')}.`
  return Object.keys(KUBE_PROXY_FIELDS)
    .filter((known) => known.startsWith(prefix) && !known.slice(prefix.length).includes('.'))
    .map((known) => known.slice(prefix.length))
}
