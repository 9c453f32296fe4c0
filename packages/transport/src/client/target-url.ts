import { IopaError } from '@iopa/constants'
import type { OpenOptions } from '../contract/link.ts'

/** Parts of a URL that a protocol has a use for. */
export interface UsedUrlParts {
  readonly credentials?: boolean
  readonly query?: boolean
}

/** Refuses a URL or credentials of which something would be lost. @throws IopaError 400, without the credentials in its sentence */
export const checkTarget = (
  { protocol, search, hash }: URL,
  { credentials }: Pick<OpenOptions, 'credentials'>,
  { credentials: user = false, query = false }: UsedUrlParts = {}
): void => {
  const scheme = protocol.slice(0, -1)
  const refuse = (part: string, instead: string): never => {
    throw new IopaError(400, 'bad-url', `The URL of a ${scheme} client has no ${part}: ${instead}.`)
  }
  if (!user && credentials !== undefined) refuse('user name or password', 'send what proves the user with each request')
  if (!query && search !== '') refuse('query', 'give it with the path of each request')
  if (hash !== '') refuse('fragment', 'leave it out')
}
