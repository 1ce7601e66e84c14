// Indented text for what is not a table: `label  text` lines whose texts stand in one column, with children below.

export interface Branch {
  /** Left of the text; '' continues the label above. */
  readonly label: string
  readonly text: string
  readonly children?: readonly Branch[]
}

/** Lines of one level share the column of their text; each level is indented by `indent` spaces more. */
export function renderTree(branches: readonly Branch[], indent = 0): string {
  const width = Math.max(0, ...branches.map((branch) => branch.label.length))
  return branches.map((branch) => renderBranch(branch, width, indent)).join('\n')
}

function renderBranch(branch: Branch, width: number, indent: number): string {
  const label = width === 0 ? '' : `${branch.label.padEnd(width)}  `
  const line = `${' '.repeat(indent)}${label}${branch.text}`.trimEnd()
  const children = branch.children ?? []
  // Children stand under their parent's text, two further in, so that the labels of the parent's level stay legible.
  return children.length === 0 ? line : `${line}\n${renderTree(children, indent + label.length + 2)}`
}
