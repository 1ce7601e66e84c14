// ShuntConfiguration (shunt.dev/v1alpha1): every option of the table as a field of the same name.

import { decodeOption, layerBuilder, type Layer } from './layer.ts'
import { OPTION_KEYS, optionRow, type OptionKey } from './options.ts'
import { closest } from './suggest.ts'
import type { YamlFile } from './yaml-file.ts'

export const SHUNT_API_VERSION = 'shunt.dev/v1alpha1'
export const SHUNT_KIND = 'ShuntConfiguration'

const FIELDS: readonly string[] = OPTION_KEYS.filter((key) => optionRow(key).hidden !== true)

export function decodeShuntFile(yaml: YamlFile): Layer {
  const layer = layerBuilder()
  for (const [field, value] of Object.entries(yaml.root)) {
    if (field === 'apiVersion' || field === 'kind' || field === 'metadata') continue
    if (!FIELDS.includes(field)) {
      layer.report(yaml.problem('error', [field], `unknown field${closest(field, FIELDS)}`))
      continue
    }
    const key = field as OptionKey
    layer.take(key, decodeOption(key, value), (message) => yaml.problem('error', [field], message))
  }
  return layer.build()
}
