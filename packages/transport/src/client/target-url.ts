import { IopaError } from '@iopa/constants'

/** Parts of a URL that a protocol has a use for. */
export interface UsedUrlParts {
  readonly credentials?: boolean
  readonly query?: boolean
}

/** Refuses a URL of which something would be lost. @throws IopaError 400, without the credentials in its sentence. */
export const checkTargetUrl = (url: URL, { credentials = false, query = false }: UsedUrlParts = {}): void => {
  const scheme = url.protocol.slice(0, -1)
  const refuse = (part: string, instead: string): never => {
    throw new IopaError(400, 'bad-url', `The URL of a ${scheme} client has no ${part}: ${instead}.`)
  }
  if (!credentials && (url.username !== '' || url.password !== '')) refuse('user name or password', 'send what proves the user with each request')
  if (!query && url.search !== '') refuse('query', 'give it with the path of each request')
  if (url.hash !== '') refuse('fragment', 'leave it out')
}
