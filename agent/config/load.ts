// Defaults < file < environment < flags, then the checks that concern several options. Everything that is wrong is
// reported at once. The only reader of the process's environment.

import { hostname } from 'node:os'
import { formatProblem, ShuntError, type Problem } from '../model/errors.ts'
import { checkTogether } from './check.ts'
import { decodeKubeProxyFile, KUBE_PROXY_API_VERSION, KUBE_PROXY_KIND } from './kube-proxy-file.ts'
import { layerBuilder, parseOption, type Layer } from './layer.ts'
import {
  environmentOf,
  flagOf,
  OPTION_KEYS,
  OPTIONS,
  optionRow,
  type Configuration,
  type OptionCommand,
} from './options.ts'
import { decodeShuntFile, SHUNT_API_VERSION, SHUNT_KIND } from './shunt-file.ts'
import { closest } from './suggest.ts'
import { readYamlFile, type YamlFile } from './yaml-file.ts'

export interface ConfigurationInput {
  /** What will run: decides what must be given. */
  readonly command: OptionCommand | 'run'
  /** By option key, `config` for the file; as commander gives them. Others are ignored. */
  readonly flags: Readonly<Record<string, unknown>>
  /** Default: the process's. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Default: the system's. */
  readonly hostname?: string
}

export interface LoadedConfiguration {
  readonly configuration: Configuration
  /** What was given and has no effect. */
  readonly warnings: readonly Problem[]
  /** The file that was read; undefined: none. */
  readonly file: string | undefined
}

/** CONFIG_INVALID with every problem. */
export class ConfigurationError extends ShuntError {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    const lines = problems.map((problem) => `\n  ${formatProblem(problem)}`)
    super('CONFIG_INVALID', `the configuration has ${count(problems.length)}:${lines.join('')}`)
    this.problems = problems
  }
}

/** Throws {@link ConfigurationError}. */
export async function loadConfiguration(input: ConfigurationInput): Promise<LoadedConfiguration> {
  const environment = input.environment ?? process.env
  const fileFlag = input.flags['config']
  const file = typeof fileFlag === 'string' ? fileFlag : environment['SHUNT_CONFIG']
  const layers = [
    file === undefined || file === '' ? undefined : await fileLayer(file),
    environmentLayer(environment),
    flagLayer(input.flags),
  ].filter((layer) => layer !== undefined)

  const merged: Configuration = Object.assign(defaults(), ...layers.map((layer) => layer.values))
  const configuration: Configuration = {
    ...merged,
    nodeName: (merged.nodeName === '' ? (input.hostname ?? hostname()) : merged.nodeName)
      .trim()
      .toLowerCase(),
  }
  const problems = [
    ...layers.flatMap((layer) => layer.problems),
    ...checkTogether(configuration, input.command),
  ]
  const errors = problems.filter((problem) => problem.severity === 'error')
  if (errors.length > 0) throw new ConfigurationError(errors)
  return {
    configuration,
    warnings: problems.filter((problem) => problem.severity === 'warning'),
    file: file === '' ? undefined : file,
  }
}

/** The table's defaults. */
export function defaults(): Configuration {
  return Object.fromEntries(OPTION_KEYS.map((key) => [key, OPTIONS[key].default])) as Configuration
}

async function fileLayer(file: string): Promise<Layer> {
  let yaml: YamlFile
  try {
    yaml = await readYamlFile(file)
  } catch (error) {
    if (!(error instanceof ShuntError)) throw error
    return { values: {}, problems: [problem('error', '', error.message)] }
  }
  return decodeFile(yaml)
}

/** Decodes by apiVersion and kind. */
export function decodeFile(yaml: YamlFile): Layer {
  const { apiVersion, kind } = yaml.root
  if (apiVersion === SHUNT_API_VERSION && kind === SHUNT_KIND) return decodeShuntFile(yaml)
  if (apiVersion === KUBE_PROXY_API_VERSION && kind === KUBE_PROXY_KIND) return decodeKubeProxyFile(yaml)
  const expected = `expected ${SHUNT_API_VERSION} ${SHUNT_KIND} or ${KUBE_PROXY_API_VERSION} ${KUBE_PROXY_KIND}`
  const field =
    apiVersion === SHUNT_API_VERSION || apiVersion === KUBE_PROXY_API_VERSION ? 'kind' : 'apiVersion'
  return { values: {}, problems: [yaml.problem('error', [field], expected)] }
}

function environmentLayer(environment: Readonly<Record<string, string | undefined>>): Layer {
  const layer = layerBuilder()
  const known = new Map(OPTION_KEYS.map((key) => [environmentOf(key), key]))
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('SHUNT_') || name === 'SHUNT_CONFIG' || value === undefined) continue
    const key = known.get(name)
    if (key !== undefined)
      layer.take(key, parseOption(key, value), (message) => problem('error', name, message))
    else layer.report(problem('warning', name, `unknown variable${closest(name, [...known.keys()])}`))
  }
  return layer.build()
}

function flagLayer(flags: Readonly<Record<string, unknown>>): Layer {
  const layer = layerBuilder()
  for (const key of OPTION_KEYS) {
    const value = flags[key]
    if (typeof value !== 'string' && typeof value !== 'boolean' && !Array.isArray(value)) continue
    const text = Array.isArray(value) ? value.join(',') : String(value)
    layer.take(key, parseOption(key, text), (message) =>
      problem('error', flagOf(key), `${message}, got "${text.slice(0, 100)}"`),
    )
  }
  return layer.build()
}

function problem(severity: Problem['severity'], field: string, message: string): Problem {
  return { code: 'CONFIG_INVALID', severity, message, object: '', field }
}

function count(problems: number): string {
  return problems === 1 ? 'a problem' : `${problems} problems`
}

/** The options that a command takes, in the order of the table, without hidden ones. */
export function optionsOf(command: OptionCommand | 'run'): readonly (keyof Configuration)[] {
  return OPTION_KEYS.filter((key) => {
    const row = optionRow(key)
    const commands: readonly string[] = row.commands
    const wanted = command === 'run' ? ['agent', 'proxy'] : [command]
    return row.hidden !== true && wanted.some((each) => commands.includes(each))
  })
}
