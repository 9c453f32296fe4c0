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

/** The name of a scheme; `psk` is how transports mark the name of a pre-shared key. @throws IopaError 500. */
export const checkName = (factory: string, name: string): void => {
  if (typeof name !== 'string' || !/^[A-Za-z0-9._-]+$/.test(name) || name === 'psk')
    throw optionError(`The name of ${factory} must be letters, digits and any of ._- and not 'psk', not ${kindOf(name)}.`)
}
