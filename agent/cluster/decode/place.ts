// Where in an object a value stands. A place is a chain of steps to the root, so that reading a hundred thousand
// endpoints builds no path text; the text exists only once there is something to report.

/** A field name or an index of a list. */
export type Step = string | number

export interface Place {
  readonly parent: Place | undefined
  readonly step: Step
}

/** `spec.ports[0].port`, `metadata.labels["kubernetes.io/service-name"]`; empty for the object itself. */
export function placeText(place: Place | undefined): string {
  return pathText(placeSteps(place))
}

export function pathText(steps: readonly Step[]): string {
  let text = ''
  for (const step of steps) {
    if (typeof step === 'number') text += `[${step}]`
    else if (step.length <= 120 && PLAIN_NAME.test(step)) text += text === '' ? step : `.${step}`
    // A key of a megabyte is no help in a message; the line still tells where it is.
    else text += `[${JSON.stringify(step.length > 120 ? `${step.slice(0, 120)}…` : step)}]`
  }
  return text
}

/** The steps that {@link placeText} wrote. */
export function parsePath(text: string): Step[] {
  const steps: Step[] = []
  for (const [part] of text.matchAll(/\[\d+\]|\["(?:[^"\\]|\\.)*"\]|[^.[\]]+/g)) {
    if (!part.startsWith('[')) steps.push(part)
    else if (part.startsWith('["')) steps.push(JSON.parse(part.slice(1, -1)) as string)
    else steps.push(Number(part.slice(1, -1)))
  }
  return steps
}

const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/

function placeSteps(place: Place | undefined): Step[] {
  const steps: Step[] = []
  for (let at = place; at !== undefined; at = at.parent) steps.unshift(at.step)
  return steps
}
