import { kindOf, optionError } from '@iopa/appbuilder/extension'

/** A quoted-string (RFC 9110 section 5.6.4). @throws IopaError 500 for what no header may hold. */
export const quoted = (text: string): string => {
  if (typeof text !== 'string' || !/^[\x20-\x7e]*$/.test(text)) throw optionError(`The realm ${JSON.stringify(text)} must be visible ASCII.`)
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** Refuses an option that is no function. @throws IopaError 500. */
export const checkFunction = (factory: string, option: string, value: unknown, form: string): void => {
  if (typeof value !== 'function') throw optionError(`${factory} needs the option ${option}: a function ${form}, not ${kindOf(value)}.`)
}

/** How transports mark names that they have proven: for the schemes of these alone. */
const PROOFS: readonly string[] = ['psk', 'rpk', 'oscore']

/** The name of a scheme; `own` is the proof that it takes. @throws IopaError 500. */
export const checkName = (factory: string, name: string, own?: string): void => {
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]+$/.test(name) || (name !== own && PROOFS.includes(name)))
    throw optionError(`The name of ${factory} must be letters, digits and any of ._-, and not that of another proof, not ${kindOf(name)}.`)
}
