import { IopaError, type MessageOption } from '@iopa/transport'
import { OPTION } from './option-numbers.ts'

/** A Proxy-Uri in its two parts: what a proxy needs, and the options that only the server may see (RFC 8613 section 4.1.3.3). */
export interface SplitProxyUri {
  readonly origin: Uint8Array
  readonly path: readonly MessageOption[]
}

/** @throws IopaError 400 if it is not the URI of a host */
export const splitProxyUri = (value: Uint8Array): SplitProxyUri => {
  const text = Buffer.from(value).toString('utf8')
  const found = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]+)([^?#]*)(?:\?([^#]*))?$/i.exec(text)
  if (found === null)
    throw new IopaError(400, 'bad-proxy-uri', 'A Proxy-Uri of a protected request must be an absolute URI with a host, and without a fragment.')
  const [, origin = '', path = '', query] = found
  // RFC 7252 section 6.4: a path of "/" has no segments.
  const segments = path === '' || path === '/' ? [] : path.slice(1).split('/')
  return {
    origin: Buffer.from(origin),
    path: [
      ...segments.map(segment => [OPTION.URI_PATH, decode(segment)] as const),
      ...(query === undefined ? [] : query.split('&').map(part => [OPTION.URI_QUERY, decode(part)] as const))
    ]
  }
}

const decode = (part: string): Uint8Array => {
  try {
    return Buffer.from(decodeURIComponent(part))
  } catch {
    throw new IopaError(400, 'bad-proxy-uri', 'The Proxy-Uri has a % that is not followed by two hexadecimal digits of UTF-8.')
  }
}
