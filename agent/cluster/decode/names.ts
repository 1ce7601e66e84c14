// Which texts Kubernetes accepts as names, and how to say what is wrong with the others.

/** At most 63 characters a-z, 0-9 and `-`, with a letter or digit at both ends. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text)
}

/** Labels joined by dots, at most 253 characters. */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text)
}

export const LABEL_RULE =
  'a name of at most 63 characters a-z, 0-9 and "-", beginning and ending with a letter or digit'
export const SUBDOMAIN_RULE =
  'a name of at most 253 characters a-z, 0-9, "-" and ".", beginning and ending with a letter or digit'
