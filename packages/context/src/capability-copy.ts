import type { Capabilities } from '@iopa/constants'

/** Copies capabilities two levels deep: a context may write to its copy, objects below are shared. */
export const copyCapabilities = (base: Capabilities): Capabilities => {
  const copy: Capabilities = {}
  for (const urn of Object.keys(base)) copy[urn] = { ...base[urn] }
  return copy
}
